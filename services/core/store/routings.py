"""Where review items wait: put into a queue, and moved on by their age."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from psycopg import sql
from psycopg.rows import class_row

from services.core.store import review_events
from services.core.store.database import Connection
from services.core.store.review_items import COLUMNS, ReviewItem, tell


@dataclass(frozen=True, slots=True)
class Routing:
    """Where an item waits: queue, priority 0 (first) … 9, when a decision is due, and when its turn comes.

    `reroute_at` is when its age may move it, None for never.
    """

    queue: str
    priority: int
    due_at: datetime
    turn_at: datetime
    reroute_at: datetime | None = None


async def route(conn: Connection, item_id: UUID, routing: Routing, actor: str, leader: UUID | None = None) -> bool:
    """Puts a pending item into its queue, into the case of `leader` if there is one.

    False, and nothing done, where it is not pending (any more).
    """
    async with conn.cursor(row_factory=class_row(ReviewItem)) as cursor:
        await cursor.execute(
            sql.SQL(
                "UPDATE review_items SET state = 'queued', queue = %s, priority = %s, due_at = %s, turn_at = %s,"
                " reroute_at = %s, leader = %s WHERE item_id = %s AND state = 'pending' RETURNING {}"
            ).format(COLUMNS),
            [
                routing.queue,
                routing.priority,
                routing.due_at,
                routing.turn_at,
                routing.reroute_at,
                leader,
                item_id,
            ],
        )
        item = await cursor.fetchone()
    if item is None:
        return False
    await review_events.append(conn, item_id, "queued", actor, queue=routing.queue, priority=str(routing.priority))
    await tell(conn, "queued", item)
    return True


async def due_for_rerouting(conn: Connection, limit: int) -> list[ReviewItem]:
    """Up to `limit` items that wait, lead their case and may be moved by their age now, locked."""
    async with conn.cursor(row_factory=class_row(ReviewItem)) as cursor:
        await cursor.execute(
            sql.SQL(
                "SELECT {} FROM review_items WHERE state = 'queued' AND leader IS NULL AND reroute_at <= now()"
                " ORDER BY reroute_at LIMIT %s FOR UPDATE SKIP LOCKED"
            ).format(COLUMNS),
            [limit],
        )
        return await cursor.fetchall()


async def reroute(conn: Connection, item: ReviewItem, routing: Routing, actor: str) -> bool:
    """Gives a waiting item, locked by `due_for_rerouting`, and those of its case another place.

    Each keeps its own age: dates are as far from its own record as the item's are. False where it stays where it is.
    """
    cursor = await conn.execute(
        "UPDATE review_items SET queue = %(queue)s, priority = %(priority)s, due_at = created_at + %(due)s,"
        " turn_at = created_at + %(turn)s, reroute_at = created_at + %(reroute)s"
        " WHERE state = 'queued' AND (item_id = %(item)s OR leader = %(item)s) RETURNING item_id",
        {
            "queue": routing.queue,
            "priority": routing.priority,
            "due": routing.due_at - item.created_at,
            "turn": routing.turn_at - item.created_at,
            "reroute": routing.reroute_at and routing.reroute_at - item.created_at,
            "item": item.item_id,
        },
    )
    moved = await cursor.fetchall()
    if (item.queue, item.priority) == (routing.queue, routing.priority):
        return False
    for (item_id,) in moved:
        await review_events.append(
            conn, item_id, "rerouted", actor, queue=routing.queue, priority=str(routing.priority)
        )
    await tell(conn, "queued", replace(item, queue=routing.queue))
    return True
