"""What the worker does with a message: it puts a pending item into its queue."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from uuid import UUID

import structlog
from prometheus_client import Counter

from services.core.store import review_items
from services.core.store.database import single_transaction
from services.review.routing import route

ACTOR = "review"
ROUTED = Counter("portcullis_review_routed", "Messages worked off: items put into a queue, or there already.", ["done"])

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
        return item is not None and await review_items.route(conn, item_id, route(item), ACTOR)
