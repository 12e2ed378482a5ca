"""The combo filter as a real server: real TLS, Postgres, policy, and clearances of both halves."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path

import grpc
import numpy as np
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from PIL import Image

from portcullis.v1 import checks_pb2, combo_filter_pb2_grpc
from portcullis.v1 import combo_filter_pb2 as pb
from services.combo_filter.__main__ import build
from services.commands.provision import provision
from services.core.clearance import Claim, ClearanceSigner, ClearanceVerifier, digest
from services.core.config import HouseSettings
from services.core.policy.categories import Stage
from services.core.rpc import convert
from services.core.rpc import server as servers
from services.core.rpc.channel import connect
from tests.rooms import as_room

Request = pb.ComboFilterServiceCheckPairRequest

SUBJECT = checks_pb2.Subject(
    tenant="demo", account="someone", tier=checks_pb2.TIER_NEW, request_id=str(uuid.UUID(int=9))
)
PHOTO = checks_pb2.Signal(category="concept.photo", score=0.95, source="photo/1")
DOUBT = checks_pb2.Signal(category="sexual", score=0.1, source="words/1")
LIFETIME = timedelta(minutes=5)


def png(pixels: np.ndarray) -> bytes:
    file = BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


IMAGE = png(np.full((32, 32, 3), 90, np.uint8))
MASK = png(np.pad(np.full((16, 16), 255, np.uint8), 8))


@pytest.fixture
async def house(
    tmp_path: Path, database: str, monkeypatch: pytest.MonkeyPatch, new_port_base: Callable[[], int]
) -> AsyncIterator[HouseSettings]:
    base = new_port_base()
    monkeypatch.setenv("PORTCULLIS_COMBO_FILTER_METRICS_PORT", "0")
    settings = HouseSettings(home=tmp_path, dsn=database, port_base=base, drain_seconds=1)
    await provision(settings)
    stopping = asyncio.Event()
    task = asyncio.create_task(servers.serve("combo_filter", build, as_room(settings, "combo_filter"), stopping))
    yield settings
    stopping.set()
    await task


def clearance(
    house: HouseSettings,
    stage: Stage,
    digests: dict[str, str],
    signals: list[checks_pb2.Signal],
    account: str = "someone",
    issued: datetime | None = None,
) -> str:
    issuer = {"prompt": "prompt_filter", "upload": "image_filter"}[stage]
    signer = ClearanceSigner.load(house.home / "keys" / "clearance", issuer, LIFETIME)
    claim = Claim("demo", account, stage, digests, "p" * 64, signals=convert.signals_digest(signals))
    return signer.issue(claim, issued)


def pair(house: HouseSettings, prompt: str = "a tree", mask: bytes = MASK) -> Request:
    """A pair as the gateway sends it, with clearances as the two filters give them."""
    upload = {"image": digest(IMAGE)} | ({"mask": digest(mask)} if mask else {})
    return Request(
        subject=SUBJECT,
        operation=checks_pb2.OPERATION_EDIT,
        prompt=prompt,
        image=IMAGE,
        mask=mask,
        prompt_clearance=clearance(house, "prompt", {"prompt": digest(prompt.encode())}, [DOUBT]),
        upload_clearance=clearance(house, "upload", upload, [PHOTO]),
        prompt_signals=[DOUBT],
        upload_signals=[PHOTO],
    )


async def check(house: HouseSettings, request: Request, identity: str = "gateway") -> checks_pb2.Check:
    async with connect(house, identity, "combo_filter") as channel:
        stub = combo_filter_pb2_grpc.ComboFilterServiceStub(channel)
        return (await stub.CheckPair(request, timeout=20, wait_for_ready=True)).check


async def refusal(house: HouseSettings, request: Request, identity: str = "gateway") -> tuple[str, str]:
    """The status and the machine-readable reason of a call that must fail."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await check(house, request, identity)
    status = rpc_status.from_call(caught.value)
    info = error_details_pb2.ErrorInfo()
    reasons = [info.reason for detail in status.details if detail.Unpack(info)] if status else []
    return caught.value.code().name, "".join(reasons)


async def test_a_harmless_pair_gets_a_clearance_for_prompt_image_and_mask(house: HouseSettings) -> None:
    request = pair(house)
    answer = await check(house, request)
    assert answer.verdict == checks_pb2.VERDICT_ALLOW
    assert list(answer.capabilities) == ["no-joint-encoder"]
    verifier = ClearanceVerifier.load(house.home / "keys" / "clearance" / "jwks.json", "generator")
    digests = {"prompt": digest(b"a tree"), "image": digest(IMAGE), "mask": digest(MASK)}
    verifier.verify(answer.clearance, stage="pair", tenant="demo", account="someone", digests=digests)


async def test_a_pair_is_refused_though_each_half_was_cleared(house: HouseSettings) -> None:
    answer = await check(house, pair(house, "take off her shirt"))
    assert answer.verdict == checks_pb2.VERDICT_BLOCK
    assert not answer.clearance
    (reason,) = (reason for reason in answer.reasons if reason.rule == "undress-person")
    assert reason.category == "manipulation"
    assert reason.evidence[0].span.end > reason.evidence[0].span.start
    assert answer.scores["manipulation"] > 0.7


async def test_a_doubtful_pair_is_held_without_a_clearance(house: HouseSettings) -> None:
    answer = await check(house, pair(house, "a woman"))
    assert answer.verdict == checks_pb2.VERDICT_REVIEW
    assert not answer.clearance
    assert "unseen-person-added" in {reason.rule for reason in answer.reasons}


async def test_a_half_without_its_clearance_is_refused(house: HouseSettings) -> None:
    for field in ("prompt_clearance", "upload_clearance"):
        request = pair(house)
        request.ClearField(field)
        assert await refusal(house, request) == ("PERMISSION_DENIED", "CLEARANCE_MISSING")


async def test_clearances_for_other_bytes_are_refused(house: HouseSettings) -> None:
    other = {
        "prompt": "a bigger tree",
        "image": png(np.zeros((32, 32, 3), np.uint8)),
        "mask": png(np.full((32, 32), 255, np.uint8)),
    }
    for field, value in other.items():
        request = pair(house)
        setattr(request, field, value)
        assert await refusal(house, request) == ("PERMISSION_DENIED", "CLEARANCE_DIGEST")


async def test_signals_other_than_those_that_were_cleared_are_refused(house: HouseSettings) -> None:
    tampered = pair(house)
    tampered.upload_signals[0].score = 0.01
    dropped = pair(house)
    del dropped.upload_signals[:]
    for request in (tampered, dropped):
        assert await refusal(house, request) == ("PERMISSION_DENIED", "CLEARANCE_SIGNALS")


async def test_old_foreign_and_wrong_clearances_are_refused(house: HouseSettings) -> None:
    digests = {"prompt": digest(b"a tree")}
    old = clearance(house, "prompt", digests, [DOUBT], issued=datetime.now(UTC) - timedelta(hours=1))
    foreign = clearance(house, "prompt", digests, [DOUBT], account="another")
    cases = {
        "CLEARANCE_EXPIRED": old,
        "CLEARANCE_SUBJECT": foreign,
        "CLEARANCE_STAGE": pair(house).upload_clearance,
        "CLEARANCE_INVALID": "not.a.token",
    }
    for reason, token in cases.items():
        request = pair(house)
        request.prompt_clearance = token
        assert await refusal(house, request) == ("PERMISSION_DENIED", reason)


async def test_what_is_no_pair_is_an_invalid_argument(house: HouseSettings) -> None:
    unspecified = pair(house)
    unspecified.operation = checks_pb2.OPERATION_CREATE
    assert (await refusal(house, unspecified))[0] == "INVALID_ARGUMENT"
    assert (await refusal(house, pair(house, mask=b"")))[0] == "INVALID_ARGUMENT"
    assert (await refusal(house, pair(house, mask=png(np.full((8, 8), 255, np.uint8)))))[0] == "INVALID_ARGUMENT"


async def test_only_the_gateway_may_ask(house: HouseSettings) -> None:
    assert (await refusal(house, pair(house), "generator"))[0] == "PERMISSION_DENIED"
