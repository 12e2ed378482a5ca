"""The timestamp of a manifest: asked of an RFC 3161 authority and put beside the signature, now or later.

With it a manifest is trusted beyond its certificate's end. It countersigns the signature and stands in COSE's
unprotected header (`sigTst2`, C2PA specification 2.x, § 10.3.2.5), where it takes the place of padding: neither the
signature nor the length of the manifest changes, so it can follow in a sidecar whose picture is long released.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from threading import Lock
from time import monotonic
from typing import Any

import cbor2
import httpx
import structlog
from cryptography import x509
from rfc3161_client import HashAlgorithm, TimestampRequestBuilder, VerificationError, VerifierBuilder
from rfc3161_client import decode_timestamp_response as decode

from services.core.errors import ConfigurationError, FailedPrecondition, Unavailable

SECONDS = 2.0
_LONGEST_ANSWER = 1 << 16
_FIRST_REST, _LONGEST_REST = 5.0, 300.0
_HEADERS = {"Content-Type": "application/timestamp-query", "Accept": "application/timestamp-reply"}
# The label of the signature's box, then the one CBOR box in it, with COSE_Sign1 (tag 18, four items).
_SIGNATURE_BOX = re.compile(rb"c2pa\.signature\0(.{4})cbor(?=\xd2\x84)", re.DOTALL)
_BOX_HEADER = 8
_COSE_SIGN1, _X5CHAIN = 18, 33
_TIMESTAMP, _PADDING = "sigTst2", "pad"
_LEAST_PADDING = 256  # from here to 65,535 the length of a byte string takes two bytes

log = structlog.get_logger()


class TimestampAuthority:
    """One RFC 3161 authority. After a failure it is left alone, longer each time. Safe to share between threads."""

    def __init__(self, url: str, roots: bytes) -> None:
        """`roots` are PEM; ConfigurationError where they are none."""
        try:
            self._roots = x509.load_pem_x509_certificates(roots)
        except ValueError as error:
            raise ConfigurationError("the roots of the time-stamping authority are no PEM of certificates") from error
        self._url = url
        self._client = httpx.Client(timeout=SECONDS)
        self._lock = Lock()
        self._rest_seconds = 0.0
        self._rests_until = 0.0

    @property
    def rests(self) -> bool:
        """Whether it is left alone just now."""
        return monotonic() < self._rests_until

    def token(self, message: bytes) -> bytes:
        """The timestamp of `message` as a DER TimeStampToken, verified; blocks for `SECONDS` at most in each phase.

        Unavailable where the authority does not answer, answers wrongly, or rests.
        """
        if self.rests:
            raise Unavailable("the time-stamping authority is left alone for a while")
        try:
            token = self._ask(message)
        except (httpx.HTTPError, VerificationError, ValueError) as error:
            self._rest(error)
            raise Unavailable("the time-stamping authority gave no valid timestamp") from error
        with self._lock:
            self._rest_seconds = 0.0
        return token

    def close(self) -> None:
        """Hang up."""
        self._client.close()

    def _ask(self, message: bytes) -> bytes:
        query = (
            TimestampRequestBuilder()
            .data(message)
            .hash_algorithm(HashAlgorithm.SHA256)
            .nonce(nonce=True)
            .cert_request(cert_request=True)
            .build()
        )
        verifier = VerifierBuilder.from_request(query)
        for root in self._roots:
            verifier = verifier.add_root_certificate(root)
        answer = decode(self._post(query.as_bytes()))
        verifier.build().verify_message(answer, message)
        return answer.time_stamp_token()

    def _post(self, query: bytes) -> bytes:
        deadline = monotonic() + SECONDS
        body = bytearray()
        with self._client.stream("POST", self._url, content=query, headers=_HEADERS) as answer:
            answer.raise_for_status()
            for piece in answer.iter_bytes():
                body += piece
                if len(body) > _LONGEST_ANSWER or monotonic() > deadline:
                    raise httpx.ReadError("the answer is too long or too slow")
        return bytes(body)

    def _rest(self, error: Exception) -> None:
        with self._lock:
            if not self.rests:  # of several calls that failed together, one counts
                self._rest_seconds = min(max(2 * self._rest_seconds, _FIRST_REST), _LONGEST_REST)
                self._rests_until = monotonic() + self._rest_seconds
                log.warning("no timestamp", error=type(error).__name__, rest_seconds=self._rest_seconds)


def stamp(manifest: bytes, token: Callable[[bytes], bytes]) -> bytes:
    """The manifest with a timestamp of its signature, as long as before; `token` is `TimestampAuthority.token`.

    Unavailable where no timestamp is to be had; FailedPrecondition where one is of no use: it is there already, the
    certificate has expired, or the padding is too short for it.
    """
    start, end = _signature_box(manifest)
    protected, headers, payload, signature = cbor2.loads(manifest[start:end]).value
    if _TIMESTAMP in headers:
        raise FailedPrecondition("the manifest has a timestamp", reason="STAMPED")
    chain = cbor2.loads(protected)[_X5CHAIN]
    leaf = x509.load_der_x509_certificate(chain if isinstance(chain, bytes) else chain[0])
    if leaf.not_valid_after_utc < datetime.now(UTC):
        raise FailedPrecondition("the manifest's certificate has expired", reason="CERTIFICATE_EXPIRED")
    countersigned = cbor2.dumps(["CounterSignature", protected, b"", cbor2.dumps(signature)])
    tokens = {"tstTokens": [{"val": token(countersigned)}]}

    def encode(padding: int) -> bytes:
        added = {**headers, _TIMESTAMP: tokens, _PADDING: bytes(padding)}
        return cbor2.dumps(cbor2.CBORTag(_COSE_SIGN1, [protected, added, payload, signature]))

    padding = end - start - len(encode(_LEAST_PADDING)) + _LEAST_PADDING
    if padding < _LEAST_PADDING:
        raise FailedPrecondition("the timestamp is too long for the manifest's padding", reason="TIMESTAMP_TOO_LONG")
    return manifest[:start] + encode(padding) + manifest[end:]


def _signature_box(manifest: bytes) -> tuple[int, int]:
    found: list[re.Match[Any]] = list(_SIGNATURE_BOX.finditer(manifest))
    if len(found) != 1:
        raise FailedPrecondition("the manifest does not hold just one signature", reason="NOT_ONE_SIGNATURE")
    length = int.from_bytes(found[0][1], "big")
    return found[0].end(), found[0].end() + length - _BOX_HEADER
