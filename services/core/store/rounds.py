"""The rounds of an item: the first look, a blind second one, and adjudication where the two disagree.

A second look is for every sealed case, for every decision that overturns (what was blocked is released, an appeal or a
suspension is granted), and for a share of the others. The draw is a keyed hash of the item's id: it is the same
however often a decision is taken back, and nobody knows it beforehand.
"""

from __future__ import annotations

import hmac
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

from psycopg.rows import class_row

from services.core.store.database import Connection
from services.core.store.review_items import Resolution, ReviewItem
from services.core.verdicts import Verdict

Next = Literal["final", "again"]
LAST_ROUND = 3


@dataclass(frozen=True, slots=True)
class Judged:
    """One person's judgement of an item; `seconds` from claim to decision, None for one in bulk."""

    item_id: UUID
    round: int
    analyst: str
    resolution: Resolution
    comment: str
    seconds: float | None
    decided_at: datetime
    batch: UUID


def next_step(item: ReviewItem, resolution: Resolution, earlier: Sequence[Resolution], *, drawn: bool) -> Next:
    """Whether a judgement ends the case or another person must look; `earlier` are those of the rounds before.

    Two that agree end it, and so does the third: he agrees with one of them, so that a sealed case is never released
    by one person alone. A golden item ends with the first.
    """
    if item.golden is not None or item.round == LAST_ROUND:
        return "final"
    if item.round == 1:
        return "again" if item.sealed or drawn or _overturns(item, resolution) else "final"
    return "final" if resolution in earlier else "again"


def is_drawn(key: bytes, item_id: UUID, share: float) -> bool:
    """Whether an item is among the `share` (0 … 1) that is judged again: HMAC-SHA256, of which 53 bits make a number
    in 0 … 1.
    """
    number = int.from_bytes(hmac.digest(key, item_id.bytes, "sha256")[:8]) >> 11
    return number / 2**53 < share


def _overturns(item: ReviewItem, resolution: Resolution) -> bool:
    decided_against = item.verdict is Verdict.BLOCK or item.kind in ("appeal", "suspension")
    return resolution == "release" and decided_against


async def drawn(conn: Connection, item: ReviewItem, shares: Mapping[str, float]) -> bool:
    """Whether an item is drawn for a second look; `shares` by queue, none for a queue that is not there."""
    share = shares.get(item.queue, 0.0)
    if share == 0:
        return False
    row = await (await conn.execute("SELECT key FROM review_keys WHERE purpose = 'second_look'")).fetchone()
    assert row is not None, "the migration makes the key"
    return is_drawn(row[0], item.item_id, share)


async def record(
    conn: Connection, item: ReviewItem, analyst: str, resolution: Resolution, comment: str, batch: UUID
) -> None:
    """Writes a judgement; its analyst never gets the item again, nor an appeal against its decision."""
    await conn.execute(
        "INSERT INTO review_rounds (item_id, round, analyst, resolution, comment, seconds, batch)"
        " SELECT item_id, round, %s, %s, %s, extract(epoch FROM now() - claimed_at), %s FROM review_items"
        " WHERE item_id = %s",
        [analyst, resolution, comment, batch, item.item_id],
    )
    await conn.execute(
        "INSERT INTO review_barred SELECT item_id, %s, true FROM review_items WHERE item_id = %s"
        " OR decision_id = %s AND kind = 'appeal' AND state <> 'decided'"
        " ON CONFLICT (item_id, analyst) DO UPDATE SET judged = true",
        [analyst, item.item_id, item.decision_id],
    )


async def bar_judges(conn: Connection, appeal: ReviewItem) -> None:
    """Keeps an appeal from everyone who judged an item of the decision that it is against."""
    await conn.execute(
        "INSERT INTO review_barred SELECT DISTINCT %s::uuid, analyst, true FROM review_rounds"
        " JOIN review_items USING (item_id) WHERE decision_id = %s"
        " ON CONFLICT (item_id, analyst) DO UPDATE SET judged = true",
        [appeal.item_id, appeal.decision_id],
    )


async def skip(conn: Connection, item_id: UUID, analyst: str) -> None:
    """Offers an item to this analyst no more; asked for by its id, it can still be taken."""
    await conn.execute(
        "INSERT INTO review_barred (item_id, analyst, judged) VALUES (%s, %s, false) ON CONFLICT DO NOTHING",
        [item_id, analyst],
    )


async def judged_by(conn: Connection, items: Collection[UUID], analyst: str) -> set[UUID]:
    """Those of `items` that this analyst may not take, for having judged them."""
    cursor = await conn.execute(
        "SELECT item_id FROM review_barred WHERE item_id = ANY(%s) AND analyst = %s AND judged",
        [list(items), analyst],
    )
    return {row[0] for row in await cursor.fetchall()}


async def judges(conn: Connection, item_id: UUID) -> list[str]:
    """Those who may not take an item, for having judged it or what it is an appeal against; at most 100."""
    cursor = await conn.execute(
        "SELECT analyst FROM review_barred WHERE item_id = %s AND judged ORDER BY analyst LIMIT 100", [item_id]
    )
    return [row[0] for row in await cursor.fetchall()]


async def of_item(conn: Connection, item_id: UUID) -> list[Judged]:
    """The judgements of an item, first round first. For leads and auditors, or once it is decided."""
    async with conn.cursor(row_factory=class_row(Judged)) as cursor:
        await cursor.execute("SELECT * FROM review_rounds WHERE item_id = %s ORDER BY round", [item_id])
        return await cursor.fetchall()


async def take_back(conn: Connection, batch: UUID) -> None:
    """Forgets the judgements of a decision that is undone; whoever made them may take the items again."""
    await conn.execute(
        "DELETE FROM review_barred USING review_rounds WHERE review_rounds.batch = %s"
        " AND review_barred.item_id = review_rounds.item_id AND review_barred.analyst = review_rounds.analyst",
        [batch],
    )
    await conn.execute("DELETE FROM review_rounds WHERE batch = %s", [batch])
