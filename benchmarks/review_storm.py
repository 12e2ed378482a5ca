"""Nothing lost and nothing decided twice while anything is killed at any moment: Postgres, broker, relay, workers.

Items are recorded as the gateway records them, and decided as analysts decide them, through every outage; meanwhile
workers, relay, broker and Postgres are killed with -9 in turn and started again. What was committed must end settled.

    make bench-review                                    # 100,000 items on each broker; about an hour on two cores
    python benchmarks/review_storm.py --items 5000 --broker redis --kill-every 3
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated
from uuid import UUID, uuid4

import psycopg
import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from benchmarks import brokers
from services.commands.default_policy import DEFAULT_POLICY
from services.core.errors import PortcullisError, Unavailable
from services.core.evidence import create_evidence_key
from services.core.policy.document import load_policy
from services.core.staff import Analyst
from services.core.store import claims, decisions, policies, review_events, tenants
from services.core.store.database import Database, migrate
from services.core.store.decisions import Decision
from services.core.store.review_items import NewReviewItem
from services.core.verdicts import Reason, Verdict

ROOT = Path(__file__).parents[1]
RESULTS = Path(__file__).parent / "results"
REASON = Reason("violence", "shows or praises violence", 0.8, 0.7, Verdict.REVIEW)
ONE_LOOK = "\nreview: {queues: {default: {second_review: 0.0}, sealed: {roles: [sealed]}}}\n"
POSTGRES = "services.core.store.embedded"
RELAY = "services.review.relay"
WORKERS = ("services.review.worker", "services.review.worker ")  # two of them
ANALYSTS, RECORDERS = 6, 2
ACCOUNTS = 20_000  # so many that none comes to a suspension, which would wait for a person who is not there
AT_ONCE = 20  # items of one recording transaction
PATIENCE_SECONDS = 600


@dataclass(slots=True)
class Figures:
    """What one storm came to."""

    broker: str
    items: int = 0
    lost: int = 0
    decided_twice: int = 0
    queued_twice: int = 0
    flaws: int = 0
    seconds: float = 0
    kills: dict[str, int] = field(default_factory=dict[str, int])


class Storm:
    """One house's review room under fire."""

    def __init__(self, home: Path, broker: brokers.Broker, seed: int) -> None:
        self._home = home
        self._broker = broker
        self._random = random.Random(seed)
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._log = (home / "log").open("ab")
        self.calm = False
        self.kills: Counter[str] = Counter()
        self.recorded: set[UUID] = set()

    @property
    def dsn(self) -> str:
        """Of the embedded Postgres."""
        return (self._home / "postgres.dsn").read_text().strip()

    def start(self, name: str) -> None:
        """Starts one process."""
        environment = os.environ | {
            "PORTCULLIS_HOME": str(self._home),
            "PORTCULLIS_BROKER_URL": self._broker.url,
            "PORTCULLIS_LOG_LEVEL": "warning",
            "PORTCULLIS_REVIEW_RELAY_METRICS_PORT": "0",
            "PORTCULLIS_REVIEW_WORKER_METRICS_PORT": "0",
            "PORTCULLIS_REVIEW_STALLED_SECONDS": "10",
            "PORTCULLIS_REVIEW_VISIBILITY_SECONDS": "5",
        }
        self._processes[name] = subprocess.Popen(
            [sys.executable, "-m", name.strip()],
            cwd=ROOT,
            env=environment,
            stdout=self._log,
            stderr=self._log,
            start_new_session=True,
        )

    async def start_postgres(self) -> None:
        """Starts Postgres and waits until it answers."""
        self.start(POSTGRES)
        while True:
            try:
                async with await psycopg.AsyncConnection.connect(self.dsn, connect_timeout=2):
                    return
            except (psycopg.OperationalError, FileNotFoundError):
                await asyncio.sleep(0.1)

    def start_rest(self) -> None:
        """Relay and workers."""
        for name in (RELAY, *WORKERS):
            self.start(name)

    def stop(self) -> None:
        """Ends everything, Postgres last."""
        for name in (*WORKERS, RELAY, POSTGRES):
            self._processes[name].terminate()
            self._processes[name].wait()
        self._log.close()

    async def rage(self, every: float) -> None:
        """Kills something every so many seconds, until it is calm; starts it again at once."""
        while not self.calm:
            await asyncio.sleep(self._random.uniform(0.5, 1.5) * every)
            name = self._random.choice([*WORKERS, RELAY, POSTGRES, "broker"])
            if name == "broker" and self._broker.name == "pgmq":
                continue  # it is Postgres
            self.kills[name.strip().rpartition(".")[2]] += 1
            await self._kill(name)

    async def _kill(self, name: str) -> None:
        if name == "broker":
            await asyncio.to_thread(self._broker.kill)
            await asyncio.to_thread(self._broker.start)
        elif name == POSTGRES:
            pid = int((self._home / "postgres" / "data" / "postmaster.pid").read_text().split()[0])
            os.kill(pid, signal.SIGKILL)
            await asyncio.to_thread(self._processes[name].wait)
            await self.start_postgres()
        else:
            os.killpg(self._processes[name].pid, signal.SIGKILL)
            self._processes[name].wait()
            self.start(name)

    async def record(self, database: Database, items: int) -> None:
        """Records so many items; what the commit did not confirm is not promised."""
        while items > 0:
            batch = [(self._a_decision(), _an_item()) for _ in range(AT_ONCE)]
            try:
                async with database.transaction() as conn:
                    for decision, item in batch:
                        await decisions.record(conn, decision, [item])
            except Unavailable:
                await asyncio.sleep(0.2)
                continue
            self.recorded.update(item.item_id for _, item in batch)
            items -= AT_ONCE

    async def decide(self, database: Database, name: str) -> None:
        """Takes and decides until cancelled, as an analyst would through outages."""
        analyst = Analyst(name, frozenset({"analyst"}))
        while True:
            try:
                async with database.transaction() as conn:
                    claim = await claims.claim_next(conn, None, analyst, 60)
                if claim is None:
                    await asyncio.sleep(0.1)
                    continue
                async with database.transaction() as conn:
                    await claims.decide(conn, claim.item.item_id, analyst, claim.token, "uphold", "", 0.5)
            except PortcullisError:
                await asyncio.sleep(0.2)

    def _a_decision(self) -> Decision:
        account = f"user-{self._random.randrange(ACCOUNTS)}"
        return Decision(uuid4(), uuid4(), "acme", account, "create", Verdict.REVIEW, (REASON,), (), "ab" * 32, (), {})


def _an_item() -> NewReviewItem:
    return NewReviewItem(uuid4(), "prompt", Verdict.REVIEW, (REASON,), held=True, sealed=False)


async def storm(broker: brokers.Broker, items: int, kill_every: float, seed: int, console: Console) -> Figures:
    """Records and decides `items` under fire, then waits until all is settled."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        home.mkdir()
        create_evidence_key(home / "keys" / "evidence.key")
        place = Storm(home, broker, seed)
        await place.start_postgres()
        await asyncio.to_thread(migrate, place.dsn)
        database = await Database.open(place.dsn, max_size=ANALYSTS + RECORDERS + 1)
        try:
            await _furnish(database)
            place.start_rest()
            figures = await _measure(place, database, items, kill_every, console)
        finally:
            await database.close()
            place.stop()
    return figures


async def _furnish(database: Database) -> None:
    policy = load_policy(DEFAULT_POLICY.read_text(encoding="utf-8") + ONE_LOOK, "storm")
    async with database.transaction() as conn:
        await tenants.create_tenant(conn, "acme")
        await policies.ensure_default(conn, policy.text, "storm")


async def _measure(place: Storm, database: Database, items: int, kill_every: float, console: Console) -> Figures:
    started = time.monotonic()
    figures = Figures(place._broker.name, items)
    raging = asyncio.create_task(place.rage(kill_every))
    deciding = [asyncio.create_task(place.decide(database, f"analyst-{n}")) for n in range(ANALYSTS)]
    recording = [asyncio.create_task(place.record(database, items // RECORDERS)) for _ in range(RECORDERS)]
    quiet_since, last = time.monotonic(), -1
    with Progress(console=console) as progress:
        bar = progress.add_task(f"{figures.broker}: settled", total=items)
        while time.monotonic() - quiet_since < PATIENCE_SECONDS:
            await asyncio.sleep(1)
            settled = await _count(database, "SELECT count(*) FROM review_items WHERE settled_at IS NOT NULL")
            progress.update(bar, completed=max(settled, 0))
            if settled > last:
                last, quiet_since = settled, time.monotonic()
            if all(task.done() for task in recording):
                place.calm = True  # what is left must come in calm weather, but it must come
                waiting = "SELECT count(*) FROM review_items WHERE settled_at IS NULL"
                if raging.done() and await _count(database, waiting) == 0:
                    break
    for task in deciding:
        task.cancel()
    await asyncio.gather(raging, *deciding, *recording, return_exceptions=True)
    figures.seconds = time.monotonic() - started
    figures.kills = dict(sorted(place.kills.items()))
    await _judge(place, database, figures)
    return figures


async def _judge(place: Storm, database: Database, figures: Figures) -> None:
    async with database.transaction() as conn:
        rows = await (await conn.execute("SELECT item_id FROM review_items WHERE settled_at IS NOT NULL")).fetchall()
    figures.items = len(place.recorded)
    figures.lost = len(place.recorded - {row[0] for row in rows})
    twice = "SELECT FROM review_events WHERE kind = '{}' GROUP BY item_id HAVING count(*) > 1"
    times = f"SELECT count(*) FROM ({twice}) AS t"
    figures.decided_twice = await _count(database, times.format("decided"))
    figures.queued_twice = await _count(database, times.format("queued"))
    # No pool here: to read half a million events takes longer than a transaction of the house may.
    async with await psycopg.AsyncConnection.connect(place.dsn) as conn:
        figures.flaws = len([flaw async for flaw in review_events.verify(conn)])


async def _count(database: Database, query: str) -> int:
    """The number, -1 while Postgres is away."""
    try:
        async with database.transaction() as conn:
            row = await (await conn.execute(query)).fetchone()
    except Unavailable:
        return -1
    assert row is not None
    return int(row[0])


def main(
    items: Annotated[int, typer.Option(min=AT_ONCE, help="Items on each broker.")] = 100_000,
    broker: Annotated[str, typer.Option(help="pgmq, rabbitmq, redis or all.")] = "all",
    kill_every: Annotated[float, typer.Option(min=0.5, help="Seconds between kills, on average.")] = 5.0,
    seed: Annotated[int, typer.Option(help="Of the order of the kills.")] = 1,
) -> None:
    """Storms each broker in turn and prints what came of it."""
    console = Console()
    all_figures: list[Figures] = []
    for name in brokers.NAMES:
        if broker not in (name, "all"):
            continue
        if lacking := brokers.missing(name):
            console.print(f"[bold red]{name} was not measured[/]: it is not here; {lacking}")
            continue
        with tempfile.TemporaryDirectory() as folder, brokers.running(name, Path(folder) / name) as server:
            all_figures.append(asyncio.run(storm(server, items, kill_every, seed, console)))
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "review_storm.json").write_text(json.dumps([asdict(f) for f in all_figures], indent=2) + "\n")
    titles = (
        "broker",
        "items",
        "lost",
        "decided twice",
        "queued twice",
        "chain flaws",
        "kills -9",
        "minutes",
        "items/s",
    )
    table = Table(*titles)
    for found in all_figures:
        kills = "\n".join(f"{count} {name}" for name, count in found.kills.items())
        numbers = (found.items, found.lost, found.decided_twice, found.queued_twice, found.flaws)
        table.add_row(
            found.broker, *map(str, numbers), kills, f"{found.seconds / 60:.1f}", f"{found.items / found.seconds:.0f}"
        )
    console.print(table)


if __name__ == "__main__":
    typer.run(main)
