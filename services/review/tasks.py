"""What the worker does with a message: it puts a pending item into its queue, or applies what a decision leads to."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from uuid import UUID

import structlog
from prometheus_client import Counter

from services.core.store import cases, policies, review_events, review_items, rounds
from services.core.store.database import single_transaction
from services.review.effects import EFFECTS
from services.review.routing import route

ACTOR = "review"
ROUTED = Counter("portcullis_review_routed", "Messages worked off: items put into a queue, or there already.", ["done"])
SETTLED = Counter("portcullis_review_settled", "Messages worked off: decisions that took effect, or had.", ["done"])

log = structlog.get_logger()


def make_route_item(dsn: str) -> Callable[[str], None]:
    """The Celery task: idempotent, for it acts only on an item that is pending still."""

    def route_item(item_id: str) -> None:
        """Routes the item; an exception leaves it pending, and the relay tells it again."""
        done = asyncio.run(route_pending(dsn, UUID(item_id)))
        ROUTED.labels("queued" if done else "nothing").inc()
        log.info("item routed", item=item_id, changed=done)

    return route_item


async def route_pending(dsn: str, item_id: UUID) -> bool:
    """Moves an item from pending to its queue in one transaction; False where it is not pending or not there."""
    async with single_transaction(dsn) as conn:
        item = await review_items.get(conn, item_id)
        if item is None:
            return False
        policy = await policies.load_active(conn)
        routing = route(item, policy.document.review, await review_items.now(conn))
        leader = await cases.find_leader(conn, item, routing.queue)
        if not await review_items.route(conn, item_id, routing, ACTOR, leader):
            return False
        if leader is None:
            await cases.lead(conn, item, routing.queue)
        if item.kind == "appeal":
            await rounds.bar_judges(conn, item)
        return True


def make_settle_item(dsn: str) -> Callable[[str], None]:
    """The Celery task: idempotent, for it acts only on a decision that has not taken effect."""

    def settle_item(item_id: str) -> None:
        """Applies the effects; an exception leaves it unsettled, and the relay tells it again."""
        done = asyncio.run(settle_decided(dsn, UUID(item_id)))
        SETTLED.labels("settled" if done else "nothing").inc()
        log.info("item settled", item=item_id, changed=done)

    return settle_item


async def settle_decided(dsn: str, item_id: UUID) -> bool:
    """Applies all effects in one transaction; False where the item is undecided, taken back, not due or settled.

    A golden item has none.
    """
    async with single_transaction(dsn) as conn:
        item = await review_items.settle(conn, item_id)
        if item is None:
            return False
        if item.golden is None:
            policy = await policies.load_active(conn)
            for effect in EFFECTS:
                await effect(conn, item, policy)
        await review_events.append(conn, item_id, "settled", ACTOR)
        return True
