"""The week's report: which thresholds the decisions would have wanted, kept once a week."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta

from psycopg.types.json import Jsonb
from pydantic import TypeAdapter

from services.core.errors import NotFound
from services.core.store import lessons, policies
from services.core.store.database import Connection
from services.review.thresholds import Wanted, wanted

WEEK = timedelta(days=7)
_ROWS: TypeAdapter[list[Wanted]] = TypeAdapter(list[Wanted])


def monday_of(day: date) -> date:
    """The Monday of a day's week."""
    return day - timedelta(days=day.weekday())


async def keep(conn: Connection, now: datetime) -> bool:
    """Writes the report of the last whole week (UTC) before `now` unless it is there; says whether it did."""
    end = monday_of(now.astimezone(UTC).date())
    week = end - WEEK
    if await (await conn.execute("SELECT FROM threshold_reports WHERE week = %s", [week])).fetchone() is not None:
        return False
    policy = await policies.load_active(conn)
    rows = wanted(await lessons.labels(conn, WEEK, datetime.combine(end, time(), UTC)), policy)
    kept = await conn.execute(
        "INSERT INTO threshold_reports (week, policy, rows) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING",
        [week, policy.id, Jsonb(_ROWS.dump_python(rows, mode="json"))],
    )
    return kept.rowcount == 1


async def get(conn: Connection, week: date) -> Sequence[Wanted]:
    """The report of the week that began on the Monday `week`; NotFound where none was kept."""
    row = await (await conn.execute("SELECT rows FROM threshold_reports WHERE week = %s", [week])).fetchone()
    if row is None:
        raise NotFound(f"no report is kept for the week of {week}; weeks begin on Mondays", reason="REPORT_UNKNOWN")
    return _ROWS.validate_python(row[0])


async def latest(conn: Connection) -> tuple[date, Sequence[Wanted]] | None:
    """The newest report with its Monday; None before the first."""
    cursor = await conn.execute("SELECT week, rows FROM threshold_reports ORDER BY week DESC LIMIT 1")
    row = await cursor.fetchone()
    return None if row is None else (row[0], _ROWS.validate_python(row[1]))
