"""Golden cases: settled ones whose answer is known, handed out among the others to measure people by.

A copy of its own is made for each person who gets one. It looks like any case, has no effect, and no platform hears
of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from psycopg.rows import class_row

from services.core.errors import FailedPrecondition, NotFound
from services.core.staff import Analyst
from services.core.store import audit, review_events, review_items
from services.core.store.database import Connection
from services.core.store.review_items import Resolution, ReviewItem

SYSTEM = "review"


@dataclass(frozen=True, slots=True)
class GoldenCase:
    """A known case: its answer, why, and how often people gave it (`right`) among those who judged it (`judged`)."""

    golden: UUID
    item_id: UUID
    queue: str
    resolution: Resolution
    note: str
    added_by: str
    added_at: datetime
    retired_at: datetime | None
    judged: int
    right: int


async def add(conn: Connection, item_id: UUID, note: str, who: str) -> UUID:
    """Makes a settled case golden, with what was decided as its answer, and returns the golden case's id.

    Raises NotFound where there is no such case that is not sealed, FailedPrecondition where it is not settled, not one
    of content, itself a copy, or golden already.
    """
    item = await review_items.get(conn, item_id)
    if item is None or item.sealed:
        raise NotFound("there is no such item", reason="ITEM_UNKNOWN")
    if item.settled_at is None or item.kind != "content" or item.golden is not None:
        raise FailedPrecondition("only a settled case of content can become golden", reason="NOT_GOLDEN")
    cursor = await conn.execute(
        "INSERT INTO golden_cases (item_id, resolution, note, added_by) VALUES (%s, %s, %s, %s)"
        " ON CONFLICT (item_id) WHERE retired_at IS NULL DO NOTHING RETURNING golden",
        [item_id, item.resolution, note, who],
    )
    row = await cursor.fetchone()
    if row is None:
        raise FailedPrecondition("this case is golden already", reason="GOLDEN_ALREADY")
    await audit.append(conn, who, "golden.add", str(item_id), resolution=item.resolution)
    golden: UUID = row[0]
    return golden


async def origin(conn: Connection, item: ReviewItem) -> ReviewItem:
    """The case that a copy was made of, so that a copy is shown with what goes before it; any other case itself."""
    if item.golden is None:
        return item
    row = await (await conn.execute("SELECT item_id FROM golden_cases WHERE golden = %s", [item.golden])).fetchone()
    found = await review_items.get(conn, row[0]) if row else None
    assert found is not None, "what is golden is never deleted"
    return found


async def retire(conn: Connection, golden: UUID, who: str) -> None:
    """Hands a golden case out no more; raises NotFound where there is none such in use."""
    ended = await conn.execute(
        "UPDATE golden_cases SET retired_at = now() WHERE golden = %s AND retired_at IS NULL", [golden]
    )
    if not ended.rowcount:
        raise NotFound("there is no such golden case in use", reason="GOLDEN_UNKNOWN")
    await audit.append(conn, who, "golden.retire", str(golden))


async def listed(conn: Connection) -> list[GoldenCase]:
    """All golden cases, those in use first, newest first."""
    async with conn.cursor(row_factory=class_row(GoldenCase)) as cursor:
        await cursor.execute(
            "SELECT g.golden, g.item_id, source.queue, g.resolution, note, added_by, added_at, retired_at,"
            " count(r.item_id) AS judged, count(r.item_id) FILTER (WHERE r.resolution = g.resolution) AS right"
            " FROM golden_cases g JOIN review_items source USING (item_id)"
            " LEFT JOIN review_items copy ON copy.golden = g.golden"
            " LEFT JOIN review_rounds r ON r.item_id = copy.item_id"
            " GROUP BY g.golden, source.queue ORDER BY retired_at IS NOT NULL, added_at DESC"
        )
        return await cursor.fetchall()


async def copy_for(conn: Connection, queue: str, analyst: Analyst) -> UUID | None:
    """A fresh copy, waiting in `queue`, of a golden case that this person never saw; None where there is none left.

    The copy's decision is nobody's: what is asked about a decision never meets it.
    """
    cursor = await conn.execute(
        """
        WITH chosen AS (
            SELECT g.golden, g.item_id FROM golden_cases g JOIN review_items source USING (item_id)
            WHERE retired_at IS NULL AND source.queue = %(queue)s
            AND NOT EXISTS (SELECT FROM review_rounds r WHERE r.item_id = g.item_id AND r.analyst = %(who)s)
            AND NOT EXISTS (
                SELECT FROM review_items copy JOIN review_events e USING (item_id)
                WHERE copy.golden = g.golden AND e.kind = 'claimed' AND e.actor = %(who)s
            ) ORDER BY random() LIMIT 1
        )
        INSERT INTO review_items (item_id, decision_id, tenant, account, stage, verdict, reasons, held, sealed, kind,
            tier, prompt, negative_prompt, image, mask, state, queue, priority, due_at, turn_at, golden)
        SELECT gen_random_uuid(), gen_random_uuid(), tenant, account, stage, verdict, reasons, held, false, kind,
            tier, prompt, negative_prompt, image, mask, 'queued', queue, priority,
            now() + (due_at - created_at), now(), chosen.golden
        FROM chosen JOIN review_items USING (item_id) RETURNING item_id
        """,
        {"queue": queue, "who": analyst.identity},
    )
    row = await cursor.fetchone()
    if row is None:
        return None
    item_id: UUID = row[0]
    await review_events.append(conn, item_id, "opened", SYSTEM)
    await review_events.append(conn, item_id, "queued", SYSTEM, queue=queue)
    return item_id
