"""What becomes of an item when a person has judged it, alone or in bulk; and how a judgement is taken back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from psycopg import sql
from psycopg.rows import class_row

from services.core.errors import FailedPrecondition, NotFound
from services.core.staff import Analyst
from services.core.store import cases, outbox, review_events, review_items, rounds
from services.core.store.database import Connection
from services.core.store.review_items import COLUMNS, Resolution, ReviewItem

_FREE = sql.SQL("claimed_by = NULL, claim_token_sha256 = NULL, claimed_at = NULL, claim_expires_at = NULL")
_DECIDE = sql.SQL(
    "UPDATE review_items SET {}, state = 'decided', resolution = %(resolution)s, decided_by = %(who)s,"
    " decided_at = now(), batch = %(batch)s, effective_at = now() + make_interval(secs => %(undo)s)"
    " WHERE item_id = %(item)s RETURNING {}"
).format(_FREE, COLUMNS)
# Nothing in the row says what the first person thought, nor that there was one.
_LOOK_AGAIN = sql.SQL(
    "UPDATE review_items SET {}, state = 'queued', round = round + 1,"
    " effective_at = now() + make_interval(secs => %(undo)s) WHERE item_id = %(item)s RETURNING {}"
).format(_FREE, COLUMNS)
_WAIT_AGAIN = sql.SQL(
    "UPDATE review_items SET {}, state = 'queued', round = %s, resolution = NULL, decided_by = NULL,"
    " decided_at = NULL, batch = NULL, effective_at = NULL WHERE item_id = %s"
).format(_FREE)


@dataclass(frozen=True, slots=True)
class Judgement:
    """What one person says of one or several items at once: `batch` names it, so that it can be taken back within
    `undo_seconds`; `shares` of each queue are looked at again.
    """

    analyst: Analyst
    resolution: Resolution
    comment: str
    batch: UUID
    undo_seconds: float
    shares: Mapping[str, float]


async def judge(conn: Connection, items: Sequence[ReviewItem], judgement: Judgement) -> list[ReviewItem]:
    """Writes a judgement of locked items and returns them as they are then: decided, or waiting for another person.

    Those that wait again stay together as a case.
    """
    done = [await _judge(conn, item, judgement) for item in items]
    await cases.stop_leading(conn, [item.item_id for item in items])
    again = [item for item in done if item.state == "queued"]
    for round_ in {item.round for item in again}:
        await cases.regroup(conn, [item for item in again if item.round == round_])
    return done


async def _judge(conn: Connection, item: ReviewItem, judgement: Judgement) -> ReviewItem:
    earlier = [one.resolution for one in await rounds.of_item(conn, item.item_id)] if item.round > 1 else []
    drawn = item.round == 1 and await rounds.drawn(conn, item, judgement.shares)
    step = rounds.next_step(item, judgement.resolution, earlier, drawn=drawn)
    who = judgement.analyst.identity
    await rounds.record(conn, item, who, judgement.resolution, judgement.comment, judgement.batch)
    values = {
        "item": item.item_id,
        "who": who,
        "resolution": judgement.resolution,
        "batch": judgement.batch,
        "undo": judgement.undo_seconds,
    }
    async with conn.cursor(row_factory=class_row(ReviewItem)) as cursor:
        await cursor.execute(_DECIDE if step == "final" else _LOOK_AGAIN, values)
        after = await cursor.fetchone()
    assert after is not None, "the row is locked by us"
    kind, told = ("decided", "decided") if step == "final" else ("judged", "released")
    await review_events.append(
        conn, item.item_id, kind, who, resolution=judgement.resolution, comment=judgement.comment
    )
    if step == "final":
        await outbox.add(conn, outbox.SETTLE_ITEM, [item.item_id], judgement.undo_seconds)
        await review_items.tell(conn, told, after, resolution=judgement.resolution)
    else:
        # To listeners it is like one that was given back: whoever looks next must not know that somebody did.
        await review_items.tell(conn, told, after)
    return after


async def undo(conn: Connection, batch: UUID, analyst: Analyst) -> list[ReviewItem]:
    """Takes a whole judgement back, by whoever gave it; its items wait again where they did, due when they were.

    Raises NotFound where this analyst gave no such judgement, FailedPrecondition where it has taken effect. The rows
    are locked: either this comes first, or what settles them does.
    """
    cursor = await conn.execute(
        "SELECT item_id, review_rounds.round, settled_at IS NULL AND effective_at > clock_timestamp()"
        " FROM review_items JOIN review_rounds USING (item_id)"
        " WHERE review_rounds.batch = %s AND analyst = %s AND sealed = ANY(%s) ORDER BY item_id"
        " FOR UPDATE OF review_items",
        [batch, analyst.identity, analyst.sees()],
    )
    found = await cursor.fetchall()
    if not found:
        raise NotFound("there is no such decision of yours", reason="DECISION_UNKNOWN")
    if not all(open_ for _, _, open_ in found):
        raise FailedPrecondition("this decision has taken effect and cannot be taken back", reason="DECISION_SETTLED")
    await rounds.take_back(conn, batch)
    for item_id, round_, _ in found:
        await _wait_again(conn, item_id, round_, analyst)
    return [await _rejoin(conn, item_id) for item_id, _, _ in found]


async def _wait_again(conn: Connection, item_id: UUID, round_: int, analyst: Analyst) -> None:
    before = await review_items.get(conn, item_id)
    assert before is not None, "the row is locked by us"
    await conn.execute(_WAIT_AGAIN, [round_, item_id])
    await review_events.append(conn, item_id, "undone", analyst.identity)
    if before.state == "decided":
        await review_items.tell(conn, "undone", before)


async def _rejoin(conn: Connection, item_id: UUID) -> ReviewItem:
    """The item as it waits, in its case if whoever leads that still waits in the same round, else by itself."""
    await conn.execute(
        "WITH head AS MATERIALIZED (SELECT item_id, state, round, leader FROM review_items"
        " WHERE item_id = (SELECT leader FROM review_items WHERE item_id = %(item)s) FOR UPDATE)"
        " UPDATE review_items SET leader = NULL FROM head WHERE review_items.item_id = %(item)s"
        " AND (head.state = 'decided' OR head.leader IS NOT NULL OR head.round <> review_items.round)",
        {"item": item_id},
    )
    item = await review_items.get(conn, item_id)
    assert item is not None, "the row is locked by us"
    if item.leader is None:
        await cases.lead(conn, item, item.queue)
    return item
