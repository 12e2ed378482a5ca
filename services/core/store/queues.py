"""The queues that have something waiting, read from the index alone, whatever their length."""

from __future__ import annotations

from services.core.policy.review_rules import ReviewRules
from services.core.staff import Analyst
from services.core.store.database import Connection

# A loose index scan: from each queue's first item to the next queue's (wiki.postgresql.org/wiki/Loose_indexscan).
_HEADS = """
WITH RECURSIVE head AS (
    (SELECT queue, turn_at FROM review_items WHERE state = 'queued' AND leader IS NULL
        ORDER BY queue, turn_at, item_id LIMIT 1)
    UNION ALL
    SELECT following.* FROM head, LATERAL (
        SELECT review_items.queue, review_items.turn_at FROM review_items
        WHERE state = 'queued' AND leader IS NULL AND review_items.queue > head.queue
        ORDER BY review_items.queue, review_items.turn_at, review_items.item_id LIMIT 1
    ) AS following
) SELECT queue FROM head ORDER BY turn_at, queue
"""


async def by_turn(conn: Connection, analyst: Analyst, rules: ReviewRules) -> list[str]:
    """The queues that this analyst may take from and where something waits, by the turn of their first items."""
    cursor = await conn.execute(_HEADS)
    return [name for (name,) in await cursor.fetchall() if analyst.roles.intersection(rules.queue(name).roles)]
