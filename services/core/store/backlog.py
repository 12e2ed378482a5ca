"""How far behind the desk is: what waits in each queue, read from the head of its index, whatever its length."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from services.core.store.database import Connection

MOST_COUNTED = 1000

# A range of one name, sorted by it, so that only the queues' own index gives the order: asked by "=", Postgres may look
# for an empty queue among all items in the order of their turn.
_HEAD = """
SELECT count(*), min(created_at), min(due_at), count(*) FILTER (WHERE due_at < now()) FROM (
    SELECT created_at, due_at FROM review_items WHERE state = 'queued' AND leader IS NULL
    AND queue >= %(queue)s AND queue <= %(queue)s AND golden IS NULL AND sealed = ANY(%(sealed)s)
    ORDER BY queue, turn_at, item_id LIMIT %(most)s
) AS first
"""
_IN_HAND = """
SELECT queue, count(*) FROM (
    SELECT queue FROM review_items WHERE state = 'claimed' AND claim_expires_at > now()
    AND golden IS NULL AND sealed = ANY(%(sealed)s) LIMIT %(most)s
) AS first GROUP BY queue
"""
_UNROUTED = """
SELECT count(*) FROM (SELECT FROM review_items WHERE state = 'pending' AND sealed = ANY(%(sealed)s) LIMIT %(most)s)
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
    """These queues in this order, empty ones too; `sealed` says which of both kinds of cases.

    Copies of known cases do not count.
    """
    bounds = {"sealed": list(sealed), "most": MOST_COUNTED}
    held: dict[str, int] = dict(await (await conn.execute(_IN_HAND, bounds)).fetchall())
    found = []
    for queue in queues:
        # Planned for this very queue each time: a plan for any would go by the average.
        row = await (await conn.execute(_HEAD, {**bounds, "queue": queue}, prepare=False)).fetchone()
        assert row is not None, "a count has a row"
        cases, oldest, next_due, overdue = row
        found.append(Backlog(queue, cases, oldest, next_due, overdue, held.get(queue, 0)))
    return found


async def unrouted(conn: Connection, sealed: Collection[bool]) -> int:
    """How many cases nobody has put into a queue yet, counted up to 1,000."""
    row = await (await conn.execute(_UNROUTED, {"sealed": list(sealed), "most": MOST_COUNTED})).fetchone()
    return int(row[0]) if row else 0
