"""A claim: one analyst's lease on a review item, proved by a token of which the table holds only the sha256.

An item has one claimant at most: every step locks its row, checks token, holder and clock there, and writes an event.
All clocks are Postgres'. The claim of an item that leads a case is the claim of the whole case.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID, uuid4

from psycopg import sql

from services.core.errors import Aborted, FailedPrecondition, InvalidInput, NotFound, PermissionDenied, PortcullisError
from services.core.policy.review_rules import ReviewRules
from services.core.staff import Analyst
from services.core.store import cases, judgements, queues, review_events, review_items, rounds
from services.core.store.database import Connection
from services.core.store.judgements import Judgement
from services.core.store.review_events import Place
from services.core.store.review_items import COLUMNS, Resolution, ReviewItem

SYSTEM = "review"
HOUSE_RULES = ReviewRules()
NOBODY_DRAWN: Mapping[str, float] = {}

_LEASE = sql.SQL(
    "state = 'claimed', claimed_by = %(who)s, claim_token_sha256 = %(token)s, claimed_at = now(),"
    " claim_expires_at = now() + make_interval(secs => %(lease)s), effective_at = NULL,"
    " events = events + 1"
)
# Beside the item: those that wait behind it, and the place of the claim in its chain of events.
_TAKEN = sql.SQL(
    "{}, (SELECT count(*) FROM review_items AS other WHERE other.leader = review_items.item_id"
    " AND other.state <> 'decided'), events, head, clock_timestamp()"
).format(COLUMNS)
_TAKE = sql.SQL("UPDATE review_items SET {} WHERE item_id = %(item)s RETURNING {}").format(_LEASE, _TAKEN)
# The head of a queue for one person: an index read from its start, past what others lock just now, what this one
# skipped or judged, and what may still be taken back.
_TAKE_NEXT = sql.SQL(
    "WITH head AS MATERIALIZED ("
    " SELECT item_id FROM review_items waiting WHERE state = 'queued' AND leader IS NULL AND queue = %(queue)s"
    " AND sealed = ANY(%(sealed)s) AND (effective_at IS NULL OR effective_at <= now())"
    " AND (round < 3 OR %(adjudicates)s)"
    " AND NOT EXISTS (SELECT FROM review_barred WHERE review_barred.item_id = waiting.item_id AND analyst = %(who)s)"
    " ORDER BY turn_at, item_id LIMIT 1 FOR UPDATE OF waiting SKIP LOCKED)"
    " UPDATE review_items SET {} WHERE item_id = (SELECT item_id FROM head) RETURNING {}"
).format(_LEASE, _TAKEN)


@dataclass(frozen=True, slots=True)
class Claim:
    """An item on lease; `token` proves it in later calls and is shown only here.

    `case_size` is how many undecided items its case has, itself included.
    """

    item: ReviewItem
    token: str
    case_size: int


async def claim(
    conn: Connection, item_id: UUID, analyst: Analyst, lease_seconds: float, rules: ReviewRules = HOUSE_RULES
) -> Claim:
    """Takes one item; taking one's own again, after a lost answer, makes the first token void.

    Raises NotFound where it does not exist for this analyst, PermissionDenied where `rules` keep its queue for others,
    Aborted where another holds it, FailedPrecondition where it is decided, not in a queue yet, part of another's case,
    or judged by this analyst before.
    """
    cursor = await conn.execute(
        "SELECT claimed_by = %s OR claim_expires_at < now(), effective_at > now() FROM review_items"
        " WHERE item_id = %s AND sealed = ANY(%s) FOR UPDATE",
        [analyst.identity, item_id, analyst.sees()],
    )
    row = await cursor.fetchone()
    if row is None:
        raise _no_such_item()
    free, resting = row
    item = await _item(conn, item_id)
    judged = bool(await rounds.judged_by(conn, [item_id], analyst.identity))
    if obstacle := _obstacle(item, analyst, rules, judged=judged, free=bool(free), resting=bool(resting)):
        raise obstacle
    taken = await _take(conn, _TAKE, {"item": item_id}, analyst, lease_seconds)
    assert taken is not None, "the row is locked by us"
    return taken


def _obstacle(
    item: ReviewItem, analyst: Analyst, rules: ReviewRules, *, judged: bool, free: bool, resting: bool
) -> PortcullisError | None:
    """Why this analyst may not take an item that exists for them, None where they may."""
    if item.state == "decided":
        return _decided()
    if item.state == "pending":
        return FailedPrecondition("this item is on its way to a queue; try again in a moment", reason="ITEM_PENDING")
    roles = rules.queue(item.queue).roles
    if not analyst.roles.intersection(roles):
        return PermissionDenied(
            f"cases of this queue are for the roles {', '.join(sorted(roles))}", reason="ROLE_NEEDED"
        )
    if judged:
        return FailedPrecondition("you have judged this case before; it is for another person", reason="ITEM_JUDGED")
    if item.leader is not None:
        return FailedPrecondition(
            f"this item waits in the case of {item.leader}: claim that one", reason="ITEM_IN_CASE"
        )
    if (item.state == "claimed" and not free) or resting:
        return Aborted("another analyst holds this item", reason="ITEM_CLAIMED")
    if item.round == rounds.LAST_ROUND and not analyst.may("adjudicate"):
        return PermissionDenied("this case is for somebody with more experience", reason="ROLE_NEEDED")
    return None


async def claim_next(
    conn: Connection,
    queue: str | None,
    analyst: Analyst,
    lease_seconds: float,
    rules: ReviewRules = HOUSE_RULES,
) -> Claim | None:
    """Takes the first waiting item of `queue` that this analyst may take and did not skip; None where none waits.

    Without a `queue`: of those that `rules` give them, the one whose first item has its turn first. Raises
    PermissionDenied where the queue is not for them; one that they may not know of is empty.
    """
    if queue is not None and not analyst.roles.intersection(roles := rules.queue(queue).roles):
        if queue not in rules.queues or "sealed" in roles:
            return None
        raise PermissionDenied(f"this queue is for the roles {', '.join(sorted(roles))}", reason="ROLE_NEEDED")
    for name in [queue] if queue is not None else await queues.by_turn(conn, analyst, rules):
        if taken := await _take(conn, _TAKE_NEXT, {"queue": name}, analyst, lease_seconds):
            return taken
    return None


async def _take(
    conn: Connection, query: sql.Composed, which: Mapping[str, object], analyst: Analyst, lease_seconds: float
) -> Claim | None:
    token = secrets.token_urlsafe(32)
    values = {
        "who": analyst.identity,
        "token": _sha256(token),
        "lease": lease_seconds,
        "sealed": analyst.sees(),
        "adjudicates": analyst.may("adjudicate"),
        **which,
    }
    row = await (await conn.execute(query, values)).fetchone()
    if row is None:
        return None
    *columns, others, seq, head, at = row
    item = ReviewItem(*columns)
    async with conn.pipeline():  # one way to Postgres and back for both
        await review_events.link(conn, item.item_id, Place(seq, head, at), "claimed", analyst.identity)
        await review_items.tell(conn, "claimed", item)
    return Claim(item, token, others + 1)


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


async def skip(conn: Connection, item_id: UUID, analyst: Analyst, token: str, reason: str) -> None:
    """Gives an item back, and `claim_next` does not offer it to this analyst again; raises as `_hold` does."""
    await _hold(conn, item_id, analyst, token)
    await _requeue(conn, item_id)
    await rounds.skip(conn, item_id, analyst.identity)
    await review_events.append(conn, item_id, "skipped", analyst.identity, reason=reason)


async def decide(
    conn: Connection,
    item_id: UUID,
    analyst: Analyst,
    token: str,
    resolution: Resolution,
    comment: str,
    undo_seconds: float,
    also: Sequence[UUID] = (),
    shares: Mapping[str, float] = NOBODY_DRAWN,
) -> ReviewItem:
    """Judges a claimed item, and with it those of its case that are named in `also`; returns the item.

    It is decided, and its effects are applied after `undo_seconds`; or it waits again, for another person to look:
    always where `rounds` says so, and for a share of each queue (`shares`). What is not named stays undecided, as a
    case of its own. Raises as `_hold` does, InvalidInput where `also` names what does not wait in this case.
    """
    await _hold(conn, item_id, analyst, token)
    waiting = await cases.followers(conn, item_id)
    named = set(also) - {item_id}
    if strange := named.difference(other.item_id for other in waiting):
        raise InvalidInput("also", f"{min(strange)} does not wait in the case of {item_id}")
    if await rounds.judged_by(conn, named, analyst.identity):
        raise InvalidInput("also", "names an item that you have judged before")
    items = [await _item(conn, item_id), *(other for other in waiting if other.item_id in named)]
    batch = uuid4()
    done = await judgements.judge(conn, items, Judgement(analyst, resolution, comment, batch, undo_seconds, shares))
    await cases.regroup(conn, [other for other in waiting if other.item_id not in named])
    return replace(done[0], batch=batch)


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
        " claimed_at = NULL, claim_expires_at = NULL WHERE item_id = %s",
        [item_id],
    )
    await review_items.tell(conn, "released", await _item(conn, item_id))


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
