"""The faults as data: what each is called, on what it falls, how it is inflicted and how it is healed."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

from benchmarks.chaos.place import ChaosHouse
from services.core.config import ROOMS
from services.core.rpc import tls

Step = Callable[[ChaosHouse], Awaitable[None]]

SERVERS = (*ROOMS, "review_worker", "review_relay", "postgres", "broker")
LINKED = (*ROOMS, "postgres", "broker")
SLOW_SECONDS = 0.4
RESTARTED = 20.0  # so that the process has had time to start with it
SKEW = {"ten minutes ahead": "+600", "ten minutes behind": "-600"}
SKEWED = ("gateway", "prompt_filter", "generator", "provenance")
FAKETIME = "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1"
MODEL = "model"  # folder of the copied model, in the house's folder
FULL = "full"


@dataclass(frozen=True, slots=True)
class Fault:
    """`by_itself`: nobody heals it, the house does; else it is healed after `lasts` seconds.

    `needs` says what must be there; empty where nothing is.
    """

    kind: str
    target: str
    inflict: Step
    heal: Step
    by_itself: bool = False
    lasts: float = 8.0
    needs: str = ""

    @property
    def name(self) -> str:
        """How the table calls it."""
        return f"{self.target}: {self.kind}"


def all_faults() -> Iterator[Fault]:
    """Kind by kind, so that each server has run for a while when its turn comes again."""
    for target in SERVERS:
        yield Fault("killed", target, _signal(target, signal.SIGKILL), _nothing, by_itself=True)
    for target in SERVERS:
        yield Fault("stopped", target, _signal(target, signal.SIGSTOP), _signal(target, signal.SIGCONT))
    for target in LINKED:
        yield Fault("slowed", target, _delay(target, SLOW_SECONDS), _delay(target, 0.0))
    for target in LINKED:
        yield Fault("cut off", target, _cut(target), _mend(target))
    for disk in ("evidence", "postgres"):
        yield Fault("disk full", disk, _fill(disk), _empty(disk), needs=_root())
    for target in SKEWED:
        for how, offset in SKEW.items():
            yield Fault(f"clock {how}", target, _skew(target, offset), _restart(target), needs=_faketime())
    for target in ("gateway", "image_filter"):
        yield Fault("certificate expired", target, _expire(target), _renew(target), lasts=RESTARTED)
    yield Fault("model file corrupted", "generator", _spoil_model, _mend_model, lasts=RESTARTED)
    yield Fault("policy corrupted", "postgres", _spoil_policy, _mend_policy)
    yield Fault("bank corrupted", "postgres", _spoil_bank, _mend_bank)


async def _nothing(_house: ChaosHouse) -> None:
    """The house mends it."""


def _signal(target: str, number: signal.Signals) -> Step:
    async def send(house: ChaosHouse) -> None:
        if target == "postgres" and number == signal.SIGKILL:  # the server itself, not who keeps it
            house.processes(target)[1].kill()
        elif number == signal.SIGKILL and target != "broker":  # whose first process may be but a start script
            house.processes(target)[0].kill()
        else:
            house.signal(target, number)

    return send


def _delay(target: str, seconds: float) -> Step:
    async def delay(house: ChaosHouse) -> None:
        house.links[target].delay = seconds

    return delay


def _cut(target: str) -> Step:
    async def cut(house: ChaosHouse) -> None:
        house.links[target].passing.clear()

    return cut


def _mend(target: str) -> Step:
    async def mend(house: ChaosHouse) -> None:
        house.links[target].passing.set()

    return mend


def _fill(disk: str) -> Step:
    async def fill(house: ChaosHouse) -> None:
        folder = house.disk(disk)
        free = shutil.disk_usage(folder).free
        with (folder / FULL).open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, free)

    return fill


def _empty(disk: str) -> Step:
    async def empty(house: ChaosHouse) -> None:
        (house.disk(disk) / FULL).unlink(missing_ok=True)

    return empty


def _skew(target: str, offset: str) -> Step:
    async def skew(house: ChaosHouse) -> None:
        clock = {"LD_PRELOAD": FAKETIME, "FAKETIME": offset, "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
        skewed = await house.replace(target, clock)
        with suppress(TimeoutError):
            async with asyncio.timeout(RESTARTED):
                await skewed.ready.wait()

    return skew


def _restart(target: str) -> Step:
    async def restart(house: ChaosHouse) -> None:
        await house.replace(target, {})

    return restart


def _expire(identity: str) -> Step:
    """An expired certificate in place of the good one, and the process started anew, as at a night's restart."""

    async def expire(house: ChaosHouse) -> None:
        folder = house.home / "tls"
        path = tls.certificate_path(folder, identity)
        shutil.copy(path, path.with_suffix(".good"))
        path.write_bytes(_expired(path, folder / "ca.key"))
        house.processes(identity)[0].kill()

    return expire


def _renew(identity: str) -> Step:
    async def renew(house: ChaosHouse) -> None:
        path = tls.certificate_path(house.home / "tls", identity)
        path.with_suffix(".good").replace(path)

    return renew


def _expired(path: Path, ca_key: Path) -> bytes:
    """The same certificate, but of last year."""
    old = x509.load_pem_x509_certificate(path.read_bytes())
    ended = datetime.now(UTC) - timedelta(days=1)
    builder = (
        x509.CertificateBuilder()
        .subject_name(old.subject)
        .issuer_name(old.issuer)
        .public_key(old.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(ended - timedelta(days=365))
        .not_valid_after(ended)
    )
    for extension in old.extensions:
        builder = builder.add_extension(extension.value, extension.critical)
    key = load_pem_private_key(ca_key.read_bytes(), password=None)
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)  # type: ignore[arg-type]


def _weights(house: ChaosHouse) -> Path:
    return max((house.folder / MODEL).rglob("*.safetensors"), key=lambda path: path.stat().st_size)


async def _spoil_model(house: ChaosHouse) -> None:
    """One bit of the weights turned, and the process started anew."""
    _turn_a_bit(_weights(house))
    house.processes("generator")[0].kill()


async def _mend_model(house: ChaosHouse) -> None:
    _turn_a_bit(_weights(house))


def _turn_a_bit(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(-100, os.SEEK_END)
        byte = file.read(1)[0]
        file.seek(-100, os.SEEK_END)
        file.write(bytes([byte ^ 1]))


async def _spoil_policy(house: ChaosHouse) -> None:
    """A policy that no version understands is in force, past everything that would refuse to put it there."""
    await _execute(
        house,
        "INSERT INTO policies (policy_id, name, source, created_by) VALUES (repeat('0', 64), 'x', 'rules: [', 'chaos')"
        " ON CONFLICT DO NOTHING",
        "INSERT INTO policy_activations (policy_id, activated_by, activated_at)"
        " VALUES (repeat('0', 64), 'chaos', now())",
    )


async def _mend_policy(house: ChaosHouse) -> None:
    await _execute(
        house,
        "INSERT INTO policy_activations (policy_id, activated_by, activated_at) SELECT policy_id, 'chaos', now()"
        " FROM policy_activations WHERE policy_id <> repeat('0', 64) ORDER BY activation_id DESC LIMIT 1",
    )


async def _spoil_bank(house: ChaosHouse) -> None:
    """A pattern that RE2 cannot read, in a bank of one tenant's, past everything that would refuse it."""
    await _execute(
        house,
        "INSERT INTO term_banks (tenant, bank, changed_by) VALUES ('demo', 'chaos', 'chaos')",
        "INSERT INTO terms (tenant, bank, term, kind, category, score, distance, near, not_near, within)"
        " VALUES ('demo', 'chaos', '(((', 're2', 'violence', 0.9, 0, '{}', '{}', 5)",
    )


async def _mend_bank(house: ChaosHouse) -> None:
    await _execute(
        house,
        "DELETE FROM terms WHERE tenant = 'demo' AND bank = 'chaos'",
        "DELETE FROM term_banks WHERE tenant = 'demo' AND bank = 'chaos'",
    )


async def _execute(house: ChaosHouse, *statements: str) -> None:
    def run() -> None:
        with psycopg.connect(house.own_dsn) as conn:
            for statement in statements:
                conn.execute(statement)  # type: ignore[arg-type]

    await asyncio.to_thread(run)


def _root() -> str:
    return "" if os.geteuid() == 0 else "root, to mount a small disk"


def _faketime() -> str:
    return "" if Path(FAKETIME).exists() else "Debian's libfaketime"
