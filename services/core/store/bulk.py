"""Decisions of many items at once: first a preview of what one would meet, then the decision of what still stands so.

A preview is known by a token of which the table holds only the sha256. It is good for ten minutes, once, for the one
who asked, and for items whose chain of events ends where it did.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID, uuid4

from psycopg import sql
from psycopg.rows import class_row

from services.core.errors import FailedPrecondition
from services.core.policy.review_rules import ReviewRules
from services.core.staff import Analyst
from services.core.store import cases, judgements, rounds
from services.core.store.database import Connection
from services.core.store.judgements import Judgement
from services.core.store.review_items import COLUMNS, Resolution, ReviewItem

LIFE_SECONDS = 600
MOST_ITEMS = 500


@dataclass(frozen=True, slots=True)
class Preview:
    """What a bulk decision would meet, in the order asked for, and what it would leave as it is."""

    items: tuple[ReviewItem, ...]
    left_out: tuple[UUID, ...]
    token: str


@dataclass(frozen=True, slots=True)
class BulkDecision:
    """What a bulk decision came to; `items` as they are now, decided or waiting for another person."""

    batch: UUID
    items: tuple[ReviewItem, ...]
    left_out: tuple[UUID, ...]


async def preview(conn: Connection, ids: Sequence[UUID], analyst: Analyst, rules: ReviewRules) -> Preview:
    """Says what a bulk decision of these items would meet, and changes none of them.

    Met are items that wait for their first look in a queue of this analyst's. Sealed ones and appeals are judged alone.
    """
    ids = list(dict.fromkeys(ids))
    found = {item.item_id: (item, head) for item, head in await _meetable(conn, ids, analyst, rules, lock=False)}
    met = [item_id for item_id in ids if item_id in found]
    token = secrets.token_urlsafe(32)
    await conn.execute(
        "INSERT INTO review_previews (token_sha256, analyst, items, heads, expires_at)"
        " VALUES (%s, %s, %s, %s, now() + make_interval(secs => %s))",
        [_sha256(token), analyst.identity, met, [found[item_id][1] for item_id in met], LIFE_SECONDS],
    )
    return Preview(
        tuple(found[item_id][0] for item_id in met), tuple(item_id for item_id in ids if item_id not in found), token
    )


async def decide(
    conn: Connection,
    token: str,
    analyst: Analyst,
    rules: ReviewRules,
    resolution: Resolution,
    comment: str,
    undo_seconds: float,
    shares: Mapping[str, float],
) -> BulkDecision:
    """Judges the items of a preview that still are as they were seen, as one batch; the preview is used up.

    Raises FailedPrecondition for a preview that this analyst does not have (any more).
    """
    cursor = await conn.execute(
        "DELETE FROM review_previews WHERE token_sha256 = %s AND analyst = %s AND expires_at > now()"
        " RETURNING items, heads",
        [_sha256(token), analyst.identity],
    )
    row = await cursor.fetchone()
    if row is None:
        raise FailedPrecondition(
            "this preview is not yours, was used, or is older than 10 minutes; preview again", reason="PREVIEW_UNKNOWN"
        )
    seen = dict(zip(*row, strict=True))
    unchanged = [
        item
        for item, head in await _meetable(conn, list(seen), analyst, rules, lock=True)
        if head == seen[item.item_id]
    ]
    chosen = {item.item_id for item in unchanged}
    left_behind = [
        [other for other in await cases.followers(conn, item.item_id) if other.item_id not in chosen]
        for item in unchanged
    ]
    batch = uuid4()
    done = await judgements.judge(conn, unchanged, Judgement(analyst, resolution, comment, batch, undo_seconds, shares))
    for group in left_behind:
        await cases.regroup(conn, group)
    return BulkDecision(batch, tuple(done), tuple(item_id for item_id in seen if item_id not in chosen))


async def forget_expired(conn: Connection) -> None:
    """Deletes previews that are good no more."""
    await conn.execute("DELETE FROM review_previews WHERE expires_at < now()")


async def _meetable(
    conn: Connection, ids: Sequence[UUID], analyst: Analyst, rules: ReviewRules, *, lock: bool
) -> list[tuple[ReviewItem, bytes]]:
    """Those of `ids` that a bulk decision may meet, by id, each with the end of its chain."""
    query = sql.SQL(
        "SELECT {} FROM review_items WHERE item_id = ANY(%s) AND state = 'queued' AND NOT sealed AND round = 1"
        " AND kind <> 'appeal' ORDER BY item_id {}"
    ).format(COLUMNS, sql.SQL("FOR UPDATE" if lock else ""))
    async with conn.cursor(row_factory=class_row(ReviewItem)) as cursor:
        await cursor.execute(query, [list(ids)])
        items = await cursor.fetchall()
    ends = await conn.execute("SELECT item_id, head FROM review_items WHERE item_id = ANY(%s)", [list(ids)])
    heads: dict[UUID, bytes] = dict(await ends.fetchall())
    judged = await rounds.judged_by(conn, ids, analyst.identity)
    return [
        (item, heads[item.item_id])
        for item in items
        if item.item_id not in judged and analyst.roles.intersection(rules.queue(item.queue).roles)
    ]


def _sha256(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
