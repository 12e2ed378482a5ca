"""How people judge: what two of them said of the same case, how long they took, what became of their judgements."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, timedelta

from psycopg.rows import class_row

from services.core.store.database import Connection
from services.core.store.review_items import Resolution


@dataclass(frozen=True, slots=True)
class Pair:
    """Two blind judgements of one case of `queue`."""

    queue: str
    first_by: str
    second_by: str
    first: Resolution
    second: Resolution


@dataclass(frozen=True, slots=True)
class Work:
    """What one person did in one queue: `judged` cases, in `median_seconds` each (None where all were in bulk).

    `overturned` of them ended otherwise, by a third person or on appeal. `golden` of them were known cases, of which
    `golden_right` were judged as known.
    """

    queue: str
    analyst: str
    judged: int
    median_seconds: float | None
    overturned: int
    golden: int
    golden_right: int


@dataclass(frozen=True, slots=True)
class Day:
    """How many judgements people made on a day (UTC)."""

    day: date
    judged: int


async def days(conn: Connection, count: int, sealed: Collection[bool]) -> list[Day]:
    """The last `count` days, today first, also those on which nobody judged; `sealed` as in `pairs`."""
    async with conn.cursor(row_factory=class_row(Day)) as cursor:
        await cursor.execute(
            "WITH today AS (SELECT (now() AT TIME ZONE 'UTC')::date AS day), counted AS ("
            " SELECT (r.decided_at AT TIME ZONE 'UTC')::date AS day, count(*) AS judged"
            " FROM review_rounds r JOIN review_items USING (item_id) WHERE sealed = ANY(%(sealed)s)"
            " AND r.decided_at >= (SELECT (day + 1 - %(count)s::int)::timestamp AT TIME ZONE 'UTC' FROM today)"
            " GROUP BY 1)"
            " SELECT past.day, coalesce(judged, 0) AS judged FROM ("
            "  SELECT day - back AS day FROM today, generate_series(0, %(count)s::int - 1) AS back) AS past"
            " LEFT JOIN counted USING (day) ORDER BY past.day DESC",
            {"count": count, "sealed": list(sealed)},
        )
        return await cursor.fetchall()


async def pairs(conn: Connection, age: timedelta, sealed: Collection[bool]) -> list[Pair]:
    """All pairs of the last `age`; `sealed` says of which of both kinds of cases."""
    async with conn.cursor(row_factory=class_row(Pair)) as cursor:
        await cursor.execute(
            "SELECT queue, one.analyst AS first_by, two.analyst AS second_by, one.resolution AS first,"
            " two.resolution AS second FROM review_rounds one JOIN review_rounds two USING (item_id)"
            " JOIN review_items USING (item_id) WHERE one.round = 1 AND two.round = 2"
            " AND two.decided_at > now() - %s AND sealed = ANY(%s)",
            [age, list(sealed)],
        )
        return await cursor.fetchall()


async def work(conn: Connection, age: timedelta, sealed: Collection[bool]) -> list[Work]:
    """What each person did in each queue in the last `age`; `sealed` as above."""
    async with conn.cursor(row_factory=class_row(Work)) as cursor:
        await cursor.execute(
            """
            SELECT item.queue, r.analyst, count(*) AS judged,
                percentile_cont(0.5) WITHIN GROUP (ORDER BY r.seconds) AS median_seconds,
                count(*) FILTER (
                    WHERE g.golden IS NULL AND (
                        item.state = 'decided' AND item.resolution <> r.resolution
                        OR r.resolution = 'uphold' AND EXISTS (
                            SELECT FROM review_items appeal WHERE appeal.decision_id = item.decision_id
                            AND appeal.kind = 'appeal' AND appeal.stage = item.stage AND appeal.resolution = 'release'
                            AND appeal.settled_at IS NOT NULL AND appeal.item_id <> item.item_id
                        )
                    )
                ) AS overturned,
                count(g.golden) AS golden, count(*) FILTER (WHERE g.resolution = r.resolution) AS golden_right
            FROM review_rounds r JOIN review_items item USING (item_id)
            LEFT JOIN golden_cases g ON g.golden = item.golden
            WHERE r.decided_at > now() - %s AND sealed = ANY(%s)
            GROUP BY item.queue, r.analyst ORDER BY item.queue, judged DESC, r.analyst
            """,
            [age, list(sealed)],
        )
        return await cursor.fetchall()
