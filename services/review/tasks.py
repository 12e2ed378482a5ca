"""What the worker does with a message: it puts pending items into their queues, or applies what decisions lead to.

A message names several items; each is worked off in a transaction of its own, and only where it has not moved yet, so
that a message may come twice. The worker's process keeps one loop and one pool for all its tasks.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from uuid import UUID

import structlog
from prometheus_client import Counter

from services.core import telemetry
from services.core.errors import PortcullisError
from services.core.store import cases, policies, review_events, review_items, rounds, routings
from services.core.store.database import Database
from services.core.store.review_items import ReviewItem
from services.review.effects import EFFECTS
from services.review.routing import route

ACTOR = "review"
DONE = Counter("portcullis_review_tasks", "Items worked off, and whether there was work to do.", ["task", "done"])

Work = Callable[[Database, UUID], Awaitable[bool]]

log = structlog.get_logger()


class Books:
    """Postgres for the tasks of one process, opened by the first of them; one thread alone may use it."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._runner = asyncio.Runner()
        self._database: Database | None = None

    def task(self, name: str, work: Work) -> Callable[[Sequence[str]], None]:
        """A Celery task that does `work` for each of its items; what fails stays, and the relay tells it again."""

        def run(item_ids: Sequence[str]) -> None:
            self._runner.run(self._work_off(name, work, [UUID(text) for text in item_ids]))

        return run

    async def _work_off(self, name: str, work: Work, item_ids: Sequence[UUID]) -> None:
        if self._database is None:
            self._database = await Database.open(self._dsn, max_size=1)
        for item_id in item_ids:
            try:
                done = await work(self._database, item_id)
            except PortcullisError as error:
                log.warning("not done yet", task=name, item=str(item_id), reason=error.reason)
                continue
            DONE.labels(name, "done" if done else "nothing").inc()
        log.info("worked off", task=name, items=len(item_ids))


async def route_pending(database: Database, item_id: UUID) -> bool:
    """Moves an item from pending to its queue in one transaction; False where it is not pending or not there."""
    async with database.transaction() as conn:
        item = await review_items.get(conn, item_id)
        if item is None:
            return False
        policy = await policies.load_active(conn)
        routing = route(item, policy.document.review, await review_items.now(conn))
        leader = await cases.find_leader(conn, item, routing.queue)
        if not await routings.route(conn, item_id, routing, ACTOR, leader):
            return False
        if leader is None:
            await cases.lead(conn, item, routing.queue)
        if item.kind == "appeal":
            await rounds.bar_judges(conn, item)
        return True


async def settle_decided(database: Database, item_id: UUID) -> bool:
    """Applies all effects in one transaction; False where the item is undecided, taken back, not due or settled.

    A golden item has none.
    """
    async with database.transaction() as conn:
        item = await review_items.settle(conn, item_id)
        if item is None:
            return False
        if item.golden is None:
            policy = await policies.load_active(conn)
            for effect in EFFECTS:
                await effect(conn, item, policy)
        await review_events.append(conn, item_id, "settled", ACTOR)
    count_settled(item)
    return True


def count_settled(item: ReviewItem) -> None:
    """How long a case waited for a person's decision, and whether that was in due time; nothing of sealed ones."""
    if item.sealed or item.golden is not None or item.decided_at is None:
        return
    telemetry.REVIEW_SECONDS.labels(item.kind).observe((item.decided_at - item.created_at).total_seconds())
    late = item.due_at is not None and item.decided_at > item.due_at
    telemetry.REVIEWS.labels(item.queue, item.resolution or "", "late" if late else "in_time").inc()
