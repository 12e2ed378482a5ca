"""Nothing is lost and nothing doubled: real Postgres, broker, relay and Celery worker, killed with -9 on the way."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID, uuid4

import psycopg
import pytest

from benchmarks import brokers
from benchmarks.brokers import Broker
from services.commands.default_policy import DEFAULT_POLICY
from services.core.errors import Unavailable
from services.core.evidence import create_evidence_key
from services.core.store import decisions, policies, review_events, tenants
from services.core.store.database import migrate, single_transaction
from services.core.store.decisions import Decision
from services.core.store.review_items import NewReviewItem
from services.core.verdicts import Reason, Verdict

ROOT = Path(__file__).parents[2]
REASON = Reason("violence", "shows or praises violence", 0.8, 0.7, Verdict.REVIEW)
BLOCKED = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE 'UPDATE review_items%'"


class Room:
    """The processes of the review room on a home of their own."""

    def __init__(self, home: Path, broker: Broker) -> None:
        self.home = home
        self.broker = broker
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.environment = os.environ | {
            "PORTCULLIS_HOME": str(home),
            "PORTCULLIS_BROKER_URL": broker.url,
            "PORTCULLIS_REVIEW_RELAY_METRICS_PORT": "0",
            "PORTCULLIS_REVIEW_WORKER_METRICS_PORT": "0",
            "PORTCULLIS_REVIEW_STALLED_SECONDS": "3",
            "PORTCULLIS_REVIEW_SWEEP_SECONDS": "0.3",
            "PORTCULLIS_REVIEW_VISIBILITY_SECONDS": "2",
        }

    @property
    def dsn(self) -> str:
        return (self.home / "postgres.dsn").read_text().strip()

    def start(self, module: str) -> None:
        self.processes[module] = subprocess.Popen(
            [sys.executable, "-m", module], cwd=ROOT, env=self.environment, start_new_session=True
        )

    def kill(self, module: str) -> None:
        self.processes[module].kill()
        self.processes[module].wait()

    def stop(self, module: str) -> int:
        self.processes[module].terminate()
        return self.processes[module].wait(20)


@contextmanager
def a_room(home: Path, broker: Broker) -> Iterator[Room]:
    room = Room(home, broker)
    create_evidence_key(home / "keys" / "evidence.key")
    try:
        yield room
    finally:
        for module in reversed(room.processes):
            room.stop(module)


async def until(holds: Callable[[], Awaitable[bool]], seconds: float = 40) -> None:
    async with asyncio.timeout(seconds):
        done = await holds()
        while not done:
            await asyncio.sleep(0.05)
            done = await holds()


async def start_postgres(room: Room) -> None:
    room.start("services.core.store.embedded")

    async def answers() -> bool:
        try:
            return (room.home / "postgres.dsn").exists() and await count(room, "SELECT 1") == 1
        except Unavailable:
            return False

    await until(answers)


async def record(room: Room) -> UUID:
    item = NewReviewItem(uuid4(), "prompt", Verdict.REVIEW, (REASON,), held=True, sealed=False)
    decision = Decision(uuid4(), uuid4(), "acme", "user-1", "create", Verdict.REVIEW, (REASON,), (), "ab" * 32, (), {})
    async with single_transaction(room.dsn) as conn:
        await decisions.record(conn, decision, [item])
    return item.item_id


async def record_through_outages(room: Room, count: int) -> list[UUID]:
    """What was committed; an item whose commit failed is not promised to anybody."""
    recorded: list[UUID] = []
    while len(recorded) < count:
        try:
            recorded.append(await record(room))
        except Unavailable:
            await asyncio.sleep(0.05)
    return recorded


async def count(room: Room, query: str) -> int:
    async with single_transaction(room.dsn) as conn:
        row = await (await conn.execute(query)).fetchone()
    assert row is not None
    return int(row[0])


async def nothing_pending(room: Room) -> bool:
    try:
        return await count(room, "SELECT count(*) FROM review_items WHERE state = 'pending'") == 0
    except Unavailable:
        return False


@pytest.mark.timeout(150)
@pytest.mark.parametrize("name", brokers.NAMES)
async def test_kills_lose_nothing_and_double_nothing(tmp_path: Path, name: brokers.Name) -> None:
    if lacking := brokers.missing(name):
        pytest.skip(f"{name} is not here and could not be installed: {lacking}")
    with brokers.running(name, tmp_path / "broker") as broker, a_room(tmp_path, broker) as room:
        await start_postgres(room)
        migrate(room.dsn)
        async with single_transaction(room.dsn) as conn:
            await tenants.create_tenant(conn, "acme")
            await policies.ensure_default(conn, DEFAULT_POLICY.read_text(encoding="utf-8"), "test")
        room.start("services.review.relay")
        room.start("services.review.worker")

        # A worker dies in the middle of a task: it waits for a row that we hold.
        with psycopg.connect(room.dsn) as holder:
            first = await record(room)
            holder.execute("SELECT FROM review_items WHERE item_id = %s FOR UPDATE", [first])

            async def worker_waits() -> bool:
                return await count(room, BLOCKED) > 0

            await until(worker_waits)
            room.kill("services.review.worker")
        room.start("services.review.worker")
        await until(lambda: nothing_pending(room))

        # The broker dies while items come in, then Postgres, whose supervising process ends too and is started again.
        recording = asyncio.create_task(record_through_outages(room, 100))
        await asyncio.sleep(0.5)
        await asyncio.to_thread(broker.kill)
        await asyncio.to_thread(broker.start)
        postmaster = int((tmp_path / "postgres" / "data" / "postmaster.pid").read_text().split()[0])
        os.kill(postmaster, signal.SIGKILL)
        assert room.processes["services.core.store.embedded"].wait(10) == 1
        await start_postgres(room)
        recorded = [first, *await recording]

        await until(lambda: nothing_pending(room))
        async with single_transaction(room.dsn) as conn:
            rows = await (
                await conn.execute("SELECT item_id, count(*) FROM review_events WHERE kind = 'queued' GROUP BY 1")
            ).fetchall()
        async with single_transaction(room.dsn) as conn:
            flaws = [flaw async for flaw in review_events.verify(conn)]

        assert {item_id for item_id, _ in rows} >= set(recorded), "an item was lost"
        assert {times for _, times in rows} == {1}, "an item was queued twice"
        assert flaws == []
        assert [room.processes[name].poll() for name in ("services.review.relay", "services.review.worker")] == [
            None,
            None,
        ], "relay and worker live through a restart of Postgres"
        assert room.stop("services.review.worker") == 0
        assert room.stop("services.review.relay") == 0
        assert room.stop("services.core.store.embedded") == 0
