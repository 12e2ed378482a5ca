"""A queue of 1,000,000 items with 200 claimants: how long a claim takes, whether one is ever made twice, and how soon
a waiting listener sees what was committed. On the embedded Postgres, with fsync.

Run by `make bench-review`; prints a table and writes benchmarks/results/claims.json. ITEMS=n and SECONDS=n: smaller.
At work a claimant takes an item, looks at it for some seconds (exponential, 10 s on average) and decides it. In the
rush nobody looks, so that each claim waits for all others: that row tells the throughput, not what the goal is about.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median, quantiles
from uuid import UUID, uuid4

import psycopg
from rich.console import Console
from rich.table import Table

from benchmarks.house import postgres, waiting
from benchmarks.house.waiting import REASON
from services.core.evidence import EvidenceStore, create_evidence_key
from services.core.policy.source import ActivePolicy
from services.core.staff import Analyst
from services.core.store import decisions
from services.core.store.database import Database, listen
from services.core.store.decisions import Decision
from services.core.store.review_items import NewReviewItem
from services.core.verdicts import Verdict
from services.review.desk import ReviewDesk

RESULTS = Path(__file__).parent / "results" / "claims.json"
ITEMS = int(os.environ.get("ITEMS", "1000000"))
SECONDS = float(os.environ.get("SECONDS", "30"))
CLAIMANTS = 200
LOOK_SECONDS = 10.0
CONNECTIONS = 10  # as many as the review service has
BARRED = 50  # items among the first thousand that each claimant has skipped or judged before
TOLD = 200
GOALS = {"at work": 20.0, "commit → seen": 100.0}

_BAR = """
INSERT INTO review_barred
SELECT item_id, 'analyst/' || who, true FROM (
    SELECT item_id, row_number() OVER (ORDER BY turn_at, item_id) AS place FROM review_items
    WHERE state = 'queued' ORDER BY turn_at, item_id LIMIT 1000
) AS head, generate_series(0, %s) AS who WHERE (place * 7 + who) %% (1000 / %s) = 0
"""


@dataclass(slots=True)
class Run:
    """What claimants met: milliseconds of each claim and of each decision, and how often each item was claimed
    in a round (a share is looked at again by another person)."""

    claims: list[float] = field(default_factory=list[float])
    decisions: list[float] = field(default_factory=list[float])
    taken: Counter[tuple[UUID, int]] = field(default_factory=Counter[tuple[UUID, int]])

    @property
    def doubles(self) -> int:
        """Claims of an item that somebody else had claimed."""
        return self.taken.total() - len(self.taken)


async def measure(dsn: str, folder: Path) -> dict[str, dict[str, float]]:
    """Fills the queue, lets the claimants work, then rush, then listens."""
    _fill(dsn)
    database = await Database.open(dsn, max_size=CONNECTIONS)
    create_evidence_key(folder / "evidence.key")
    evidence = EvidenceStore(folder / "evidence", folder / "evidence.key")
    try:
        desk = ReviewDesk(database, evidence, await ActivePolicy.load(database, 3600), 600, 10)
        work, rush = await _claim(desk, LOOK_SECONDS), await _claim(desk, 0.0)
        return {
            "at work": {**_figures(work.claims), "double": work.doubles},
            "decided at work": _figures(work.decisions),
            "in a rush": {**_figures(rush.claims), "double": rush.doubles},
            "commit → seen": _figures(await _listen(dsn, database)),
        }
    finally:
        await database.close()


def _fill(dsn: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as conn:
        waiting.fill(conn, ITEMS)
        conn.execute("VACUUM ANALYZE review_items")
        conn.execute(_BAR, [CLAIMANTS - 1, BARRED])
        conn.execute("CHECKPOINT")


async def _claim(desk: ReviewDesk, look_seconds: float) -> Run:
    run = Run()
    end = time.monotonic() + SECONDS
    async with asyncio.TaskGroup() as claimants:
        for number in range(CLAIMANTS):
            claimants.create_task(_work(desk, str(number), look_seconds, end, run))
    return run


async def _work(desk: ReviewDesk, name: str, look_seconds: float, end: float, run: Run) -> None:
    analyst, draw = Analyst(name, frozenset({"analyst"})), random.Random(name)
    await asyncio.sleep(draw.uniform(0, look_seconds))
    while time.monotonic() < end:
        begin = time.perf_counter()
        claim, _ = await desk.claim_next(analyst, "default")
        run.claims.append((time.perf_counter() - begin) * 1000)
        run.taken[claim.item.item_id, claim.item.round] += 1
        if look_seconds:
            await asyncio.sleep(draw.expovariate(1 / look_seconds))
            begin = time.perf_counter()
            await desk.decide(analyst, claim.item.item_id, claim.token, "uphold", "", ())
            run.decisions.append((time.perf_counter() - begin) * 1000)


async def _listen(dsn: str, database: Database) -> list[float]:
    """Milliseconds from before the commit of a new case until a listener has read its event."""
    seen: dict[str, float] = {}
    rung = asyncio.Event()

    async def hear() -> None:
        async for _ in listen(dsn, "events"):
            rung.set()
            async with database.transaction() as conn:
                cursor = await conn.execute(
                    "SELECT subject FROM events WHERE type = 'item.opened' AND event_id > %s"
                    " AND xid < pg_snapshot_xmin(pg_current_snapshot())",
                    [0],
                )
                now = time.perf_counter()
                for (subject,) in await cursor.fetchall():
                    seen.setdefault(subject, now)

    listener = asyncio.create_task(hear())
    await rung.wait()
    begun: dict[str, float] = {}
    for _ in range(TOLD):
        item = NewReviewItem(uuid4(), "prompt", Verdict.REVIEW, (REASON,), held=True, sealed=False)
        made = (uuid4(), uuid4(), "acme", "user-1", "create", Verdict.REVIEW, (REASON,), (), "ab" * 32, (), {})
        async with database.transaction() as conn:
            await decisions.record(conn, Decision(*made), [item])
            begun[str(item.item_id)] = time.perf_counter()
        await asyncio.sleep(0.02)
    await asyncio.sleep(1)
    listener.cancel()
    missing = begun.keys() - seen.keys()
    if missing:
        raise SystemExit(f"{len(missing)} events were never seen")
    return [(seen[subject] - at) * 1000 for subject, at in begun.items()]


def _figures(times: list[float]) -> dict[str, float]:
    return {"times": len(times), "median_ms": median(times), "p95_ms": quantiles(times, n=20)[-1]}


def main() -> None:
    """Starts a Postgres in a folder of its own, measures, prints the table and writes the figures."""
    with tempfile.TemporaryDirectory() as folder, postgres.running(Path(folder)) as dsn:
        asyncio.run(postgres.govern(dsn))
        figures = asyncio.run(measure(dsn, Path(folder)))
    table = Table(
        "", "times", "median ms", "95% ms", "goal ms", "double", title=f"{ITEMS:,} items, {CLAIMANTS} claimants"
    )
    for name, row in figures.items():
        goal = f"{GOALS[name]:.0f}" if name in GOALS else ""
        double = f"{row['double']:.0f}" if "double" in row else ""
        cells = (f"{row['times']:,.0f}", f"{row['median_ms']:.1f}", f"{row['p95_ms']:.1f}")
        table.add_row(name, *cells, goal, double)
    Console().print(table)
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps({**figures, "items": ITEMS, "claimants": CLAIMANTS}, indent=2) + "\n")


if __name__ == "__main__":
    main()
