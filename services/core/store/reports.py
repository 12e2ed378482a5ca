"""Reports: third parties' complaints about released pictures, and how far those who make them are believed.

How far is the mean of the Beta distribution over their reports' outcomes, begun at one upheld and one dismissed: Jøsang
and Ismail, "The Beta Reputation System", 15th Bled Electronic Commerce Conference, 2002. A stranger weighs 1/2; whoever
complains in bad faith comes near 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, LiteralString
from uuid import UUID

from psycopg import sql
from psycopg.rows import class_row

from services.core.store import images, review_events
from services.core.store.database import Connection
from services.core.store.images import RegisteredImage
from services.core.store.review_items import ReviewItem

Outcome = Literal["upheld", "dismissed"]
Origin = Literal["intact", "altered", "derived"]

MOST_SHOWN = 100

_WEIGHT = sql.SQL("(upheld + 1.0) / (upheld + dismissed + 2)")


@dataclass(frozen=True, slots=True)
class NewReport:
    """A complaint. `tenant` relays it; `reporter` is a keyed hash of 32 bytes; `category` may be empty."""

    report_id: UUID
    tenant: str
    reporter: bytes
    image_id: UUID
    category: str
    origin: Origin


@dataclass(frozen=True, slots=True)
class Report:
    """A complaint as the desk sees it; `statement` is an evidence id.

    `origin` says how the reported file compares with the released picture; `weight` 0 … 1 how far its reporter is
    believed now.
    """

    report_id: UUID
    tenant: str
    category: str
    origin: Origin
    statement: UUID | None
    created_at: datetime
    outcome: Outcome | None
    weight: float


@dataclass(frozen=True, slots=True)
class Made:
    """How many reports there are, and how much they weigh together."""

    reports: int
    weight: float


@dataclass(frozen=True, slots=True)
class Case:
    """What a report is about: the picture, who complains (oldest first), and what hangs together with the picture.

    `together` was released by the same decision, `children` made from the picture; its parents' ids are in the picture.
    """

    image: RegisteredImage
    reports: tuple[Report, ...]
    together: tuple[RegisteredImage, ...]
    children: tuple[RegisteredImage, ...]


async def of_cases(conn: Connection, items: Sequence[UUID]) -> dict[UUID, Made]:
    """How many reports each of these cases has, and how much they weigh together."""
    cursor = await conn.execute(
        sql.SQL(
            "SELECT item_id, count(*), sum({})::float8 FROM reports JOIN reporters USING (tenant, reporter)"
            " WHERE item_id = ANY(%s) GROUP BY item_id"
        ).format(_WEIGHT),
        [list(items)],
    )
    made = {item_id: Made(count, weight) for item_id, count, weight in await cursor.fetchall()}
    return {item_id: made.get(item_id, Made(0, 0.0)) for item_id in items}


async def made_before(conn: Connection, report: NewReport) -> Report | None:
    """What the same reporter said of the same picture before, None where they did not."""
    where = "image_id = %s AND tenant = %s AND reporter = %s"
    found = await _read(conn, where, [report.image_id, report.tenant, report.reporter])
    return found[0] if found else None


async def add(conn: Connection, report: NewReport, statement: UUID | None) -> None:
    """Writes a complaint, with the evidence id of what was said, if anything.

    `images.registered` must hold its picture.
    """
    await conn.execute(
        "INSERT INTO reporters (tenant, reporter) VALUES (%s, %s) ON CONFLICT DO NOTHING",
        [report.tenant, report.reporter],
    )
    await conn.execute(
        "INSERT INTO reports (report_id, tenant, reporter, image_id, category, origin, statement)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s)",
        [
            report.report_id,
            report.tenant,
            report.reporter,
            report.image_id,
            report.category,
            report.origin,
            statement,
        ],
    )


async def open_case(conn: Connection, image_id: UUID, *, sealed: bool) -> UUID | None:
    """The case that a further report of the picture joins; locked. None where a new one is needed.

    Sealed cases are apart, so that no report tells of one.
    """
    cursor = await conn.execute(
        "SELECT item_id FROM review_items WHERE kind = 'report' AND subject = %s AND sealed = %s"
        " AND settled_at IS NULL ORDER BY created_at, item_id LIMIT 1 FOR UPDATE",
        [image_id, sealed],
    )
    row = await cursor.fetchone()
    return row[0] if row else None


async def join(conn: Connection, item_id: UUID, report_id: UUID) -> None:
    """Adds a report to a case, and says so in its trail."""
    await conn.execute("UPDATE reports SET item_id = %s WHERE report_id = %s", [item_id, report_id])
    await review_events.append(conn, item_id, "reported", "gateway", report=str(report_id))


async def join_waiting(conn: Connection, image_id: UUID, item_id: UUID) -> None:
    """Adds to a case those reports of its picture that had opened none."""
    await conn.execute(
        "UPDATE reports SET item_id = %s WHERE image_id = %s AND item_id IS NULL AND outcome IS NULL",
        [item_id, image_id],
    )


async def weight(conn: Connection, image_id: UUID, item_id: UUID | None) -> float:
    """How much the undecided reports of a picture weigh together: those of a case, or those without one."""
    cursor = await conn.execute(
        sql.SQL(
            "SELECT coalesce(sum({}), 0)::float8 FROM reports JOIN reporters USING (tenant, reporter)"
            " WHERE image_id = %s AND item_id IS NOT DISTINCT FROM %s AND outcome IS NULL"
        ).format(_WEIGHT),
        [image_id, item_id],
    )
    row = await cursor.fetchone()
    assert row is not None, "an aggregate has a row"
    total: float = row[0]
    return total


def urgency(total: float) -> int:
    """By how many levels of priority a case goes ahead, 0 … 9: one for each whole reporter that is believed."""
    return min(9, int(total))


async def hasten(conn: Connection, item_id: UUID, urgency: int, ageing_hours: float) -> None:
    """Lets a case go ahead by `urgency` levels in all, each worth `ageing_hours`; never back."""
    await conn.execute(
        "UPDATE review_items SET urgency = %(new)s, priority = greatest(priority - (%(new)s - urgency), 0),"
        " turn_at = turn_at - least(priority, %(new)s - urgency) * make_interval(secs => %(level)s)"
        " WHERE item_id = %(item)s AND urgency < %(new)s",
        {"new": urgency, "item": item_id, "level": ageing_hours * 3600},
    )


async def settle(conn: Connection, item_id: UUID, outcome: Outcome) -> list[tuple[UUID, str]]:
    """Gives the reports of a case their outcome, counts it for the reporters; returns ids and who relayed each."""
    cursor = await conn.execute(
        "UPDATE reports SET outcome = %s WHERE item_id = %s AND outcome IS NULL RETURNING report_id, tenant, reporter",
        [outcome, item_id],
    )
    told = await cursor.fetchall()
    upheld = outcome == "upheld"
    # In the order of the key, so that two cases that share reporters do not wait for each other.
    await conn.cursor().executemany(
        "UPDATE reporters SET upheld = upheld + %s, dismissed = dismissed + %s WHERE tenant = %s AND reporter = %s",
        [(int(upheld), int(not upheld), tenant, reporter) for tenant, reporter in sorted(row[1:] for row in told)],
    )
    return [(report_id, tenant) for report_id, tenant, _ in told]


async def statements(conn: Connection, item_id: UUID, limit: int = MOST_SHOWN) -> list[UUID]:
    """The evidence ids of what was said in reports or in the appeal that a case is about, oldest first."""
    cursor = await conn.execute(
        "SELECT statement FROM (SELECT statement, created_at FROM reports WHERE item_id = %(item)s"
        " UNION ALL SELECT statement, created_at FROM appeals WHERE item_id = %(item)s) AS said"
        " WHERE statement IS NOT NULL ORDER BY created_at LIMIT %(limit)s",
        {"item": item_id, "limit": limit},
    )
    return [row[0] for row in await cursor.fetchall()]


async def case(conn: Connection, item: ReviewItem) -> Case | None:
    """All that belongs to a case of kind "report"; None for another kind. At most 100 of each."""
    if item.kind != "report" or item.subject is None:
        return None
    image = await images.get(conn, item.tenant, item.subject)
    assert image is not None, "reports are of registered pictures"
    released = await images.by_decision(conn, item.tenant, image.decision_id)
    return Case(
        image=image,
        reports=tuple(await _read(conn, "item_id = %s", [item.item_id])),
        together=tuple(one for one in released if one.image_id != image.image_id),
        children=tuple(await images.children(conn, item.tenant, image.image_id, MOST_SHOWN)),
    )


async def _read(conn: Connection, where: LiteralString, values: Sequence[object]) -> list[Report]:
    query = sql.SQL(
        "SELECT report_id, tenant, category, origin, statement, created_at, outcome, ({})::float8 AS weight"
        " FROM reports JOIN reporters USING (tenant, reporter) WHERE {} ORDER BY created_at, report_id LIMIT {}"
    ).format(_WEIGHT, sql.SQL(where), MOST_SHOWN)
    async with conn.cursor(row_factory=class_row(Report)) as cursor:
        await cursor.execute(query, values)
        return await cursor.fetchall()
