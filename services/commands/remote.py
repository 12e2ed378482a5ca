"""A look at an installation from outside, as a platform's backend meets it: its door, our key, its clock, each filter.

It needs the client's install alone. What it asks is harmless, under an account of its own (`ACCOUNT`), and leaves
decisions like any other check.
"""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from portcullis import Client, PortcullisError, Profile
from portcullis.channel import gateway_credentials
from portcullis.v1.checks_pb2 import Check, Verdict
from portcullis.v1.gateway_pb2 import CheckPairResponse, CheckPromptResponse, CheckUploadResponse
from services.commands.findings import Finding, Level

_Response = CheckPromptResponse | CheckUploadResponse | CheckPairResponse

ACCOUNT = "doctor"
PROMPT = "a yellow sun above a red house in a meadow"
_DATA = Path(__file__).parent / "data"
UPLOAD, MASK = _DATA / "doctor-upload.png", _DATA / "doctor-mask.png"  # a soft gradient, and its middle

CONNECT_SECONDS = 5.0
CALL_SECONDS = 30.0
ROUND_TRIPS = 5
RENEW_BEFORE = timedelta(days=21)
SKEW = timedelta(seconds=2)
SLOW_SECONDS = 2.0  # of a check

# Of OpenSSL's x509_vfy.h: what a chain is refused for, and what to do.
_REFUSALS = {
    9: ("is not valid yet", "one of the two clocks is wrong: compare `date -u` here and there"),
    10: ("has expired", "renew it where it is issued, and restart or reload the gateway"),
    62: ("is for another name than {host}", "reach it by a name that the certificate carries, or have it issued anew"),
    64: ("is for another address than {host}", "reach it by a name that the certificate carries, or issue it anew"),
}
_STRANGER = (
    "was signed by nobody that {ca} names",
    "set PORTCULLIS_CA to the ca.pem of that house (tls/ca.pem of its data home), or unset it for a public authority",
)


def examine(profile: Profile) -> Iterator[Finding]:
    """Every finding about the gateway of `profile`, the most basic first; ends where nothing further can be asked."""
    yield Finding(Level.GOOD, "address", f"{profile.address}, as PORTCULLIS_ADDRESS or client.json says")
    for finding in _door(profile):
        yield finding
        if finding.level is Level.BAD:
            return
    yield _health(profile)
    with Client(profile, deadline=CALL_SECONDS) as client:
        key = _key(client)
        yield key
        if key.level is not Level.BAD:
            yield from _filters(client)
    yield Finding(
        Level.NOTE, "generator", "was not asked to draw, for that costs", f'portcullis create "{PROMPT}" --count 1'
    )


def _door(profile: Profile) -> Iterator[Finding]:
    """Whether somebody listens, and who that is by their certificate."""
    place = urlsplit("//" + profile.address.rpartition("///")[2])
    host, port = place.hostname or "", place.port or 443
    context = _context(profile)
    try:
        with (
            socket.create_connection((host, port), CONNECT_SECONDS) as plain,
            context.wrap_socket(plain, server_hostname=host) as door,
        ):
            certificate, protocol = door.getpeercert() or {}, door.selected_alpn_protocol()
    except ssl.SSLCertVerificationError as error:
        what, mend = _REFUSALS.get(error.verify_code, _STRANGER)
        named = {"host": host, "ca": profile.ca or "this system"}
        yield Finding(Level.BAD, "certificate", what.format(**named), mend)
        return
    except (ssl.SSLError, ConnectionResetError):
        yield Finding(Level.BAD, "door", "whoever listens there does not speak TLS", "is it the port of the gateway?")
        return
    except OSError as error:
        mend = "is the address right, does the gateway run, does a firewall or NetworkPolicy stand between?"
        yield Finding(Level.BAD, "door", f"nobody answers at {host}:{port}: {error.strerror or 'no answer'}", mend)
        return
    issuers = [one for one in context.get_ca_certs() if one.get("subject") == certificate.get("issuer")]
    for subject, one in (("certificate", certificate), *(("authority", issuer) for issuer in issuers)):
        yield _valid(subject, one)
    if protocol != "h2":
        mend = "let the load balancer pass TLS through, or speak HTTP/2 with ALPN"
        yield Finding(Level.BAD, "door", "does not offer HTTP/2, which gRPC needs", mend)


def _context(profile: Profile) -> ssl.SSLContext:
    """Trust as the client has it."""
    try:
        context = ssl.create_default_context(cafile=profile.ca)
    except ssl.SSLError:
        raise PortcullisError(
            f"{profile.ca} holds no certificate in PEM", code="FAILED_PRECONDITION", reason="CREDENTIALS_UNREADABLE"
        ) from None
    context.set_alpn_protocols(["h2"])
    return context


def _valid(subject: str, certificate: Any) -> Finding:
    until = datetime.fromtimestamp(ssl.cert_time_to_seconds(certificate["notAfter"]), UTC)
    soon = until - datetime.now(UTC) < RENEW_BEFORE
    mend = "renew it now: nobody can call after that" if soon else ""
    level = Level.NOTE if soon else Level.GOOD
    return Finding(level, subject, f"is trusted, and valid until {until:%Y-%m-%d %H:%M} UTC", mend)


def _health(profile: Profile) -> Finding:
    with grpc.secure_channel(profile.address, gateway_credentials(profile)) as channel:
        try:
            answer = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=CALL_SECONDS)
        except grpc.RpcError as error:
            code = error.code().name if isinstance(error, grpc.Call) else "UNKNOWN"
            return Finding(Level.NOTE, "health", f"is not told from here ({code})", "the checks below tell more")
    if answer.status == health_pb2.HealthCheckResponse.SERVING:
        return Finding(Level.GOOD, "health", "the gateway is serving")
    mend = "its log says what it lacks (`readiness`): Postgres, or a policy that Postgres has confirmed"
    return Finding(Level.BAD, "health", "the gateway runs and is not ready", mend)


def _key(client: Client) -> Finding:
    """Asks for a decision that there is not: who may ask is told so, and how long that takes."""
    times: list[float] = []
    for _ in range(ROUND_TRIPS):
        asked = time.perf_counter()
        try:
            client.get_decision(str(UUID(int=0)))
        except PortcullisError as error:
            if error.code != "NOT_FOUND":
                return _failure("key", error)
        times.append(time.perf_counter() - asked)
    return Finding(Level.GOOD, "key", f"is accepted; there and back with a look at the books: {_ms(median(times))}")


def _filters(client: Client) -> Iterator[Finding]:
    """A harmless call to each filter, and what their answers tell of policy and clock."""
    picture, mask = UPLOAD.read_bytes(), MASK.read_bytes()
    sent = datetime.now(UTC)
    prompt = _asked("prompt filter", lambda: client.check_prompt(PROMPT, account=ACCOUNT))
    yield prompt.finding
    if prompt.decision_id:
        yield _recorded(client, prompt.decision_id, sent, datetime.now(UTC))
    upload = _asked("image filter", lambda: client.check_upload(picture, account=ACCOUNT))
    yield upload.finding
    pair = _asked("combo filter", lambda: client.check_pair(PROMPT, picture, mask, account=ACCOUNT))
    yield pair.finding
    if policies := {asked.policy for asked in (prompt, upload, pair) if asked.policy}:
        yield _policy(policies)


@dataclass(frozen=True, slots=True)
class _Asked:
    """What came of a check; the others are empty where it failed or did not come to its filter."""

    finding: Finding
    decision_id: str = ""
    policy: str = ""


def _asked(room: str, call: Callable[[], _Response]) -> _Asked:
    began = time.perf_counter()
    try:
        response = call()
    except PortcullisError as error:
        return _Asked(_failure(room, error))
    took = time.perf_counter() - began
    if isinstance(response, CheckPairResponse) and not response.HasField("pair"):
        mend = "the policy holds or refuses a half of what is harmless: look at its thresholds"
        return _Asked(Finding(Level.NOTE, room, "was not reached", mend), response.decision_id)
    check = response.pair if isinstance(response, CheckPairResponse) else response.check
    return _Asked(_judged(room, check, took), response.decision_id, check.policy)


def _recorded(client: Client, decision_id: str, sent: datetime, received: datetime) -> Finding:
    """Reads a decision that was made between two moments of this machine's clock."""
    try:
        recorded = client.get_decision(decision_id).created_at.ToDatetime(UTC)
    except PortcullisError as error:
        return _failure("clock", error)
    return _clock(recorded, sent, received)


def _clock(recorded: datetime, sent: datetime, received: datetime) -> Finding:
    """A decision bears the time of the house's Postgres: it lies between question and answer where clocks agree."""
    skew = max(sent - recorded, recorded - received, timedelta())
    if skew <= SKEW:
        return Finding(Level.GOOD, "clock", "that of the house's Postgres agrees with this machine's")
    told = f"that of the house's Postgres and this machine's differ by {skew.total_seconds():.0f} s"
    return Finding(Level.BAD, "clock", told, "set both by NTP: certificates, clearances and limits go by them")


def _judged(room: str, check: Check, took: float) -> Finding:
    verdict = Verdict.Name(check.verdict).removeprefix("VERDICT_")
    message = f"says {verdict} in {_ms(took)}"
    if check.verdict != Verdict.VERDICT_ALLOW:
        return Finding(Level.NOTE, room, message, "to something harmless: is that what the policy means?")
    if took > SLOW_SECONDS:
        return Finding(Level.NOTE, room, message, "slow: look at portcullis_step_seconds and at the load of that room")
    return Finding(Level.GOOD, room, message)


def _policy(policies: set[str]) -> Finding:
    named = ", ".join(sorted(policy[:12] for policy in policies))
    if len(policies) == 1:
        return Finding(Level.GOOD, "policy", f"{named} is in force in all filters")
    mend = "right after an activation ask again; otherwise compare portcullis_policy_info of all replicas"
    return Finding(Level.NOTE, "policy", f"filters judge by different ones: {named}", mend)


def _failure(subject: str, error: PortcullisError) -> Finding:
    """What a failed call means to who runs the house."""
    said = f"{error.code}: {error.message}"
    match error.code:
        case "UNAUTHENTICATED":
            mend = "set PORTCULLIS_API_KEY to a key of that house: `portcullis tenants key TENANT` there makes one"
        case "UNAVAILABLE":
            mend = "look at what is named: whether it runs, its log, its gRPC health; the door itself answers"
        case "DEADLINE_EXCEEDED":
            mend = "too busy, or something hangs: compare portcullis_step_seconds and portcullis_queue_depth"
        case "RESOURCE_EXHAUSTED":
            return Finding(Level.NOTE, subject, said, "a limit is reached: ask again when it has let up")
        case "FAILED_PRECONDITION":
            mend = f"`portcullis accounts show TENANT {ACCOUNT}` there tells how the doctor's account stands"
        case _:
            mend = "a fault: the gateway's log has a line for it"
    return Finding(Level.BAD, subject, said, mend)


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms"
