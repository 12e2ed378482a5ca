"""Any bytes as a message of the contract, and as what it carries: orders, changes, complaints, tokens, clearances.

Each is parsed and translated as the rooms do at their doors: what is wrong is refused with a PortcullisError (or is no
message at all), anything else is a finding. Whole rooms, over real sockets: `tests/e2e/test_any_message.py`.
"""

from __future__ import annotations

from base64 import urlsafe_b64encode
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from google.protobuf.message import DecodeError, Message

from portcullis.v1 import checks_pb2, combo_filter_pb2, gateway_pb2, generator_pb2, prompt_filter_pb2
from services.core.clearance import Claim, ClearanceSigner, ClearanceVerifier, _key_id
from services.core.errors import PortcullisError
from services.core.rpc import convert
from services.core.rpc.door import _request_id
from services.core.store.review_items import Place
from services.gateway import account_order, complaint, order
from services.generator.job import Numbers, check_inputs, check_numbers
from services.prompt_filter.painted import require_painted
from services.review import page_token

WATCHED = (
    "services.core.rpc",
    "services.core.clearance",
    "services.gateway",
    "services.generator.job",
    "services.review",
    "jwt",
)
_KEY = Ed25519PrivateKey.generate()
_SIGNER = ClearanceSigner("prompt_filter", lambda: _KEY, timedelta(minutes=5))
_VERIFIER = ClearanceVerifier(lambda: {_key_id(_KEY.public_key()): ("prompt_filter", _KEY.public_key())}, "generator")
_CLAIM = Claim("acme", "user", "prompt", {"prompt": "ab" * 32}, "cd" * 32)


def _rendered(message: generator_pb2.GenerateRequest) -> None:
    check_numbers("create", Numbers(message.count, message.size, message.steps, message.seed, message.guidance), (256,))
    check_inputs("edit", message.prompt, message.negative_prompt, message.image, message.mask)


def _paired(message: combo_filter_pb2.ComboFilterServiceCheckPairRequest) -> None:
    for signal in (*message.prompt_signals, *message.upload_signals):
        read = convert.signal_from_proto(signal)
        assert repr(convert.signal_from_proto(convert.signal_to_proto(read))) == repr(read)  # NaN is not itself
    convert.signals_digest(message.prompt_signals)


def _checked(message: checks_pb2.Check) -> None:
    for reason in message.reasons:
        convert.reason_from_proto(reason)
    convert.verdict(message.verdict)


def _clearance(data: bytes) -> None:
    token = data.decode("utf-8", "replace")
    claim = _VERIFIER.verify(token, stage="prompt", tenant="acme", account="user", digests=_CLAIM.digests)
    assert (claim.tenant, claim.stage, claim.policy) == (_CLAIM.tenant, _CLAIM.stage, _CLAIM.policy)


def _page(data: bytes) -> None:
    page_token.decode(data.decode("utf-8", "replace"))


READERS: tuple[tuple[type[Message], Callable[[Any], object]], ...] = (
    (gateway_pb2.CreateImagesRequest, order.create),
    (gateway_pb2.EditImagesRequest, order.edit),
    (gateway_pb2.VaryImagesRequest, order.vary),
    (gateway_pb2.UpdateAccountRequest, account_order.change),
    (gateway_pb2.ReportImageRequest, complaint.complaint),
    (gateway_pb2.AppealDecisionRequest, complaint.plea),
    (generator_pb2.GenerateRequest, _rendered),
    (combo_filter_pb2.ComboFilterServiceCheckPairRequest, _paired),
    (checks_pb2.Check, _checked),
    (prompt_filter_pb2.MeasureTextsRequest, lambda message: require_painted(message.texts)),
)
PLAIN = (_clearance, _page)


def taken(data: bytes) -> bool:
    """A first byte that says as what, then the bytes."""
    if not data:
        return False
    place, rest = data[0] % (len(READERS) + len(PLAIN)), data[1:]
    try:
        if place >= len(READERS):
            PLAIN[place - len(READERS)](rest)
        else:
            kind, read = READERS[place]
            message = kind.FromString(rest)
            _request_id(message)
            read(message)
    except (PortcullisError, DecodeError):
        return False
    return True


def seeds() -> dict[str, bytes]:
    """One message of each kind, a clearance, a token; and such as parsers stumble over."""
    subject = checks_pb2.Subject(tenant="acme", account="user", request_id="7b1c0a52-0f5c-4f0e-9f4d-3f2d6a0f7a11")
    span = checks_pb2.Evidence(span=checks_pb2.TextSpan(start=1, end=2))
    signal = checks_pb2.Signal(category="spam", score=0.5, source="s", evidence=span)
    who = {"request_id": subject.request_id, "account": "user"}
    messages = (
        gateway_pb2.CreateImagesRequest(**who, prompt="a cat", count=2, seed=3, guidance=2.5),
        gateway_pb2.EditImagesRequest(**who, prompt="a cat", image=b"i", mask=b"m"),
        gateway_pb2.VaryImagesRequest(**who, image=b"i"),
        gateway_pb2.UpdateAccountRequest(**who, add_credits=3, shared_hashes=[bytes(32)]),
        gateway_pb2.ReportImageRequest(image=b"i", reporter="r", category="spam", statement="s"),
        gateway_pb2.AppealDecisionRequest(account="user", decision_id=subject.request_id, statement="s"),
        generator_pb2.GenerateRequest(prompt="a cat", image=b"i", mask=b"m", count=1, size=256, steps=8, seed=1),
        combo_filter_pb2.ComboFilterServiceCheckPairRequest(subject=subject, prompt_signals=[signal]),
        checks_pb2.Check(reasons=[checks_pb2.Reason(category="spam", score=0.5, evidence=[span])]),
        prompt_filter_pb2.MeasureTextsRequest(subject=subject, texts=["a", "b"]),
    )
    first = len(READERS)
    token = _SIGNER.issue(_CLAIM).encode()
    deep = b"[" * 20_000
    return {
        **{f"message-{place}": bytes([place]) + message.SerializeToString() for place, message in enumerate(messages)},
        "clearance": bytes([first]) + token,
        "bad-clearance": bytes([first]) + urlsafe_b64encode(deep) + b".e30.e30",
        "page": bytes([first + 1]) + page_token.encode(Place(datetime(2026, 1, 1, tzinfo=UTC), UUID(int=1))).encode(),
        "bad-page": bytes([first + 1]) + urlsafe_b64encode(deep),
    }
