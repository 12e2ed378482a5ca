"""A claim: one analyst's lease on a review item, proved by a token of which the table holds only the sha256.

An item has one claimant at most: every step locks its row, checks token, holder and clock there, and writes an event.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID, uuid4

from services.core.errors import Aborted, FailedPrecondition, NotFound
from services.core.staff import Analyst
from services.core.store import outbox, review_events, review_items
from services.core.store.database import Connection
from services.core.store.review_items import Resolution, ReviewItem

SYSTEM = "review"


@dataclass(frozen=True, slots=True)
class Claim:
    """An item on lease; `token` proves it in later calls and is shown only here."""

    item: ReviewItem
    token: str


async def claim(conn: Connection, item_id: UUID, analyst: Analyst, lease_seconds: float) -> Claim:
    """Takes one item; taking one's own again, after a lost answer, makes the first token void.

    Raises NotFound where it does not exist for this analyst, Aborted where another holds it, FailedPrecondition where
    it is decided, not in a queue yet, or judged by this analyst before.
    """
    cursor = await conn.execute(
        "SELECT state, claimed_by = %s OR claim_expires_at < now() FROM review_items"
        " WHERE item_id = %s AND sealed = ANY(%s) FOR UPDATE",
        [analyst.identity, item_id, analyst.sees()],
    )
    row = await cursor.fetchone()
    if row is None:
        raise _no_such_item()
    state, free = row
    if state == "claimed" and not free:
        raise Aborted("another analyst holds this item", reason="ITEM_CLAIMED")
    if state == "decided":
        raise _decided()
    if state == "pending":
        raise FailedPrecondition("this item is on its way to a queue; try again in a moment", reason="ITEM_PENDING")
    if await _barred(conn, item_id, analyst):
        raise FailedPrecondition("you have judged this case before; it is for another person", reason="ITEM_JUDGED")
    return await _take(conn, item_id, analyst, lease_seconds)


async def _barred(conn: Connection, item_id: UUID, analyst: Analyst) -> bool:
    cursor = await conn.execute(
        "SELECT FROM review_barred WHERE item_id = %s AND analyst = %s AND judged", [item_id, analyst.identity]
    )
    return await cursor.fetchone() is not None


async def claim_next(conn: Connection, queue: str | None, analyst: Analyst, lease_seconds: float) -> Claim | None:
    """Takes the first waiting item of `queue` (None: of any) that the analyst may see; None where none waits."""
    cursor = await conn.execute(
        "SELECT item_id FROM review_items WHERE state = 'queued' AND sealed = ANY(%(sealed)s)"
        " AND (%(queue)s::text IS NULL OR queue = %(queue)s)"
        " AND NOT EXISTS (SELECT FROM review_barred barred"
        " WHERE barred.item_id = review_items.item_id AND barred.analyst = %(who)s)"
        " AND leader IS NULL ORDER BY turn_at, item_id LIMIT 1 FOR UPDATE OF review_items SKIP LOCKED",
        {"sealed": analyst.sees(), "queue": queue, "who": analyst.identity},
    )
    row = await cursor.fetchone()
    return await _take(conn, row[0], analyst, lease_seconds) if row is not None else None


async def _take(conn: Connection, item_id: UUID, analyst: Analyst, lease_seconds: float) -> Claim:
    token = secrets.token_urlsafe(32)
    await conn.execute(
        "UPDATE review_items SET state = 'claimed', claimed_by = %s, claim_token_sha256 = %s,"
        " claimed_at = now(), claim_expires_at = now() + make_interval(secs => %s) WHERE item_id = %s",
        [analyst.identity, _sha256(token), lease_seconds, item_id],
    )
    await review_events.append(conn, item_id, "claimed", analyst.identity)
    return Claim(await _item(conn, item_id), token)


async def renew(conn: Connection, item_id: UUID, analyst: Analyst, token: str, lease_seconds: float) -> datetime:
    """Extends a lease and returns its new end; raises as `_hold` does."""
    await _hold(conn, item_id, analyst, token)
    cursor = await conn.execute(
        "UPDATE review_items SET claim_expires_at = now() + make_interval(secs => %s) WHERE item_id = %s"
        " RETURNING claim_expires_at",
        [lease_seconds, item_id],
    )
    row = await cursor.fetchone()
    assert row is not None, "the row is locked by us"
    await review_events.append(conn, item_id, "renewed", analyst.identity)
    expires: datetime = row[0]
    return expires


async def release(conn: Connection, item_id: UUID, analyst: Analyst, token: str, reason: str) -> None:
    """Gives an item back to its queue; raises as `_hold` does."""
    await _hold(conn, item_id, analyst, token)
    await _requeue(conn, item_id)
    await review_events.append(conn, item_id, "released", analyst.identity, reason=reason)


async def decide(
    conn: Connection,
    item_id: UUID,
    analyst: Analyst,
    token: str,
    resolution: Resolution,
    comment: str,
    undo_seconds: float,
) -> ReviewItem:
    """Decides a claimed item and returns it; its effects are applied after `undo_seconds`. Raises as `_hold` does."""
    await _hold(conn, item_id, analyst, token)
    await conn.execute(
        "UPDATE review_items SET state = 'decided', resolution = %s, decided_by = %s, decided_at = now(), batch = %s,"
        " effective_at = now() + make_interval(secs => %s), claimed_by = NULL, claim_token_sha256 = NULL,"
        " claim_expires_at = NULL WHERE item_id = %s",
        [resolution, analyst.identity, uuid4(), undo_seconds, item_id],
    )
    await review_events.append(conn, item_id, "decided", analyst.identity, resolution=resolution, comment=comment)
    await outbox.add(conn, outbox.SETTLE_ITEM, [item_id], undo_seconds)
    return await _item(conn, item_id)


async def lapse(conn: Connection, limit: int) -> int:
    """Puts up to `limit` items whose lease has ended back into their queues, and returns how many."""
    cursor = await conn.execute(
        "SELECT item_id, claimed_by FROM review_items WHERE state = 'claimed' AND claim_expires_at < now()"
        " LIMIT %s FOR UPDATE SKIP LOCKED",
        [limit],
    )
    ended = await cursor.fetchall()
    for item_id, holder in ended:
        await _requeue(conn, item_id)
        await review_events.append(conn, item_id, "lapsed", SYSTEM, holder=holder)
    return len(ended)


async def _requeue(conn: Connection, item_id: UUID) -> None:
    await conn.execute(
        "UPDATE review_items SET state = 'queued', claimed_by = NULL, claim_token_sha256 = NULL,"
        " claim_expires_at = NULL WHERE item_id = %s",
        [item_id],
    )


async def _hold(conn: Connection, item_id: UUID, analyst: Analyst, token: str) -> None:
    """Locks the item if this analyst holds it with this token.

    Raises NotFound where it does not exist for them, FailedPrecondition where it is decided, Aborted where the lease
    is another's, ended, or never was.
    """
    cursor = await conn.execute(
        "SELECT state, claimed_by, claim_token_sha256, claim_expires_at >= now() FROM review_items"
        " WHERE item_id = %s AND sealed = ANY(%s) FOR UPDATE",
        [item_id, analyst.sees()],
    )
    row = await cursor.fetchone()
    if row is None:
        raise _no_such_item()
    state, holder, stored, alive = row
    if state == "decided":
        raise _decided()
    good = state == "claimed" and alive and holder == analyst.identity and hmac.compare_digest(stored, _sha256(token))
    if not good:
        raise Aborted("you do not hold this item (any more); claim it again", reason="CLAIM_LOST")


async def _item(conn: Connection, item_id: UUID) -> ReviewItem:
    item = await review_items.get(conn, item_id)
    assert item is not None, "the row is locked by us"
    return item


def _sha256(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def _no_such_item() -> NotFound:
    return NotFound("there is no such item", reason="ITEM_UNKNOWN")


def _decided() -> FailedPrecondition:
    return FailedPrecondition("this item is decided already", reason="ITEM_DECIDED")
