"""What the desk's people have had to look at: reveals of plain pictures, and how long since their last break."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from uuid import UUID, uuid4

from services.core.store.database import Connection

# One person reveals no more than this in a day; what is counted stays bounded.
_MOST = 10_000


@dataclass(frozen=True, slots=True)
class Exposure:
    """Pictures revealed by one person today (UTC), also by category, and since their last break.

    A picture of several categories counts in each. `working_minutes` is the time since that break, 0 while at rest.
    """

    today: int
    by_category: dict[str, int]
    since_break: int
    working_minutes: float


async def revealed(conn: Connection, name: str, item_id: UUID, categories: Collection[str], *, sealed: bool) -> None:
    """Records that a person saw the plain picture of a case that is about these categories."""
    reveal = uuid4()
    await conn.cursor().executemany(
        "INSERT INTO staff_reveals (reveal_id, name, item_id, category, sealed) VALUES (%s, %s, %s, %s, %s)",
        [(reveal, name, item_id, category, sealed) for category in sorted(set(categories)) or [""]],
    )


async def at_work(conn: Connection, name: str, rest_seconds: float) -> None:
    """Notes that a person is at work now; after `rest_seconds` without work it is as after a break."""
    await conn.execute(
        "UPDATE staff SET worked_at = now(), working_since = CASE"
        " WHEN worked_at > now() - make_interval(secs => %s) THEN coalesce(working_since, now()) ELSE now() END"
        " WHERE name = %s",
        [rest_seconds, name],
    )


async def take_break(conn: Connection, name: str) -> None:
    """Begins to count anew."""
    await conn.execute("UPDATE staff SET working_since = now() WHERE name = %s", [name])


async def exposure(conn: Connection, name: str) -> Exposure:
    """What a person has seen."""
    cursor = await conn.execute(
        "SELECT category, count(*) FROM (SELECT category FROM staff_reveals WHERE name = %s"
        " AND at >= date_trunc('day', now() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC' LIMIT %s) AS seen"
        " GROUP BY category ORDER BY category",
        [name, _MOST],
    )
    by_category = {category: count for category, count in await cursor.fetchall() if category}
    cursor = await conn.execute(
        "SELECT count(DISTINCT reveal_id) FILTER"
        " (WHERE at >= date_trunc('day', now() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC'),"
        " count(DISTINCT reveal_id) FILTER (WHERE at >= coalesce(working_since, '-infinity')), "
        " coalesce(greatest(extract(epoch FROM min(worked_at) - min(working_since)), 0)::float8 / 60, 0)"
        " FROM staff LEFT JOIN staff_reveals ON staff_reveals.name = staff.name"
        " AND at >= least(date_trunc('day', now() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC', working_since)"
        " WHERE staff.name = %s",
        [name],
    )
    row = await cursor.fetchone()
    assert row is not None, "an aggregate has a row"
    today, since, minutes = row
    return Exposure(today, by_category, since, minutes)
