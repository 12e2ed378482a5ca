"""How far behind the desk is: what waits in each queue, read from the head of its index, whatever its length."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from psycopg.rows import class_row

from services.core.store.database import Connection

MOST_COUNTED = 1000

_OF_QUEUES = """
WITH held AS (
    SELECT queue, count(*) AS in_hand FROM (
        SELECT queue FROM review_items WHERE state = 'claimed' AND claim_expires_at > now()
        AND golden IS NULL AND sealed = ANY(%(sealed)s) LIMIT %(most)s
    ) AS bounded GROUP BY queue
)
SELECT wanted.queue, counted.*, coalesce(in_hand, 0) AS in_hand
FROM unnest(%(queues)s::text[]) WITH ORDINALITY AS wanted (queue, place) CROSS JOIN LATERAL (
    SELECT count(*) AS cases, min(created_at) AS oldest, min(due_at) AS next_due,
        count(*) FILTER (WHERE due_at < now()) AS overdue
    FROM (
        SELECT created_at, due_at FROM review_items WHERE state = 'queued' AND leader IS NULL
        AND review_items.queue = wanted.queue AND golden IS NULL AND sealed = ANY(%(sealed)s)
        ORDER BY turn_at, item_id LIMIT %(most)s
    ) AS first
) AS counted LEFT JOIN held ON held.queue = wanted.queue ORDER BY place
"""


@dataclass(frozen=True, slots=True)
class Backlog:
    """A queue: `cases` that wait, `oldest` and `next_due` among them, how many are `overdue`, how many are `in_hand`.

    All of it is said of the first 1,000 in the order of their turn; `cases` and `in_hand` of 1,000 may be more.
    """

    queue: str
    cases: int
    oldest: datetime | None
    next_due: datetime | None
    overdue: int
    in_hand: int


async def of_queues(conn: Connection, queues: Sequence[str], sealed: Collection[bool]) -> list[Backlog]:
    """These queues in this order, empty ones too; `sealed` says which of both kinds of cases. Copies of known cases
    do not count.
    """
    async with conn.cursor(row_factory=class_row(Backlog)) as cursor:
        await cursor.execute(
            _OF_QUEUES,
            {"queues": list(queues), "sealed": list(sealed), "most": MOST_COUNTED},
        )
        return await cursor.fetchall()


async def unrouted(conn: Connection, sealed: Collection[bool]) -> int:
    """How many cases nobody has put into a queue yet, counted up to 1,000."""
    cursor = await conn.execute(
        "SELECT count(*) FROM ("
        " SELECT FROM review_items WHERE state = 'pending' AND sealed = ANY(%s) LIMIT %s) AS first",
        [list(sealed), MOST_COUNTED],
    )
    row = await cursor.fetchone()
    return int(row[0]) if row else 0
