"""The queues that have something waiting, read from the index alone, whatever their length."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from psycopg import sql
from psycopg.rows import class_row

from services.core.policy.review_rules import SEALED_QUEUE, ReviewRules
from services.core.staff import Analyst
from services.core.store.database import Connection
from services.core.store.review_items import COLUMNS, ReviewItem

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


MOST_COUNTED = 250


@dataclass(frozen=True, slots=True)
class Waiting:
    """What waits in a queue: how many cases, counted up to 250, and when the one whose turn it is was recorded."""

    queue: str
    cases: int
    since: datetime
    due_at: datetime


async def waiting(conn: Connection, analyst: Analyst, rules: ReviewRules) -> list[Waiting]:
    """The queues that this analyst may take from and where something waits, by the turn of their first items."""
    names = await by_turn(conn, analyst, rules)
    async with conn.cursor(row_factory=class_row(Waiting)) as cursor:
        await cursor.execute(
            "SELECT wanted.queue, counted.cases, first.created_at AS since, first.due_at"
            " FROM unnest(%(queues)s::text[]) WITH ORDINALITY AS wanted (queue, place), LATERAL ("
            "  SELECT created_at, due_at FROM review_items WHERE state = 'queued' AND leader IS NULL"
            "  AND review_items.queue = wanted.queue AND sealed = ANY(%(sealed)s) ORDER BY turn_at, item_id LIMIT 1"
            " ) AS first, LATERAL (SELECT count(*) AS cases FROM (SELECT FROM review_items WHERE state = 'queued'"
            "  AND leader IS NULL AND review_items.queue = wanted.queue AND sealed = ANY(%(sealed)s)"
            "  LIMIT %(most)s) AS bounded) AS counted ORDER BY place",
            {"queues": names, "sealed": analyst.sees(), "most": MOST_COUNTED},
        )
        return await cursor.fetchall()


async def held_by(conn: Connection, analyst: Analyst) -> list[ReviewItem]:
    """The items that this analyst holds now, those whose lease ends soonest first, at most 50."""
    async with conn.cursor(row_factory=class_row(ReviewItem)) as cursor:
        await cursor.execute(
            sql.SQL(
                "SELECT {} FROM review_items WHERE state = 'claimed' AND claimed_by = %s AND sealed = ANY(%s)"
                " AND claim_expires_at > now() ORDER BY claim_expires_at LIMIT 50"
            ).format(COLUMNS),
            [analyst.identity, analyst.sees()],
        )
        return await cursor.fetchall()


async def by_turn(conn: Connection, analyst: Analyst, rules: ReviewRules) -> list[str]:
    """The queues that this analyst may take from and where something waits, by the turn of their first items."""
    return [name for name in await not_empty(conn) if analyst.roles.intersection(rules.queue(name).roles)]


async def known(conn: Connection, analyst: Analyst, rules: ReviewRules) -> list[str]:
    """The policy's queues by name, and those that it lost and where something waits still; the sealed one for its own
    people alone.
    """
    lost = set(await not_empty(conn)) - set(rules.queues)
    return [name for name in (*sorted(rules.queues), *sorted(lost)) if name != SEALED_QUEUE or analyst.may("sealed")]


async def not_empty(conn: Connection) -> list[str]:
    """All queues where something waits, by the turn of their first items; the sealed one as well."""
    cursor = await conn.execute(_HEADS)
    return [name for (name,) in await cursor.fetchall()]
