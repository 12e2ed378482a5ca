"""The record of what people do to the house: one chain of hashes, never changed, without a word of a prompt.

The hash of an event covers everything in it and the hash before it; `audit_chain` holds the chain's length and end. A
changed, inserted or missing event, also a missing last one, does not add up any more. Who could rewrite the whole chain
is found by a `Head` that was kept elsewhere (compare RFC 9162's signed tree heads).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncGenerator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from services.core.store.database import Connection

START = bytes(32)
REACH = 50_000
COLUMNS = "event_id, at, actor, action, subject, detail, seq, prev_hash, hash"
# Asked event by event: of an EXISTS Postgres may make a list of all strikes first.
_TELLS_OF_SEALED = (
    "(starts_with(action, 'sealed.') OR action = 'account.strikes_reversed' AND coalesce("
    "(SELECT bool_or(strikes.sealed) FROM strikes WHERE decision_id = (event.detail ->> 'decision')::uuid), false))"
)


@dataclass(frozen=True, slots=True)
class AuditEvent:
    """Who (`actor`) did what (`action`, dotted) to whom or what (`subject`), when (UTC), and its particulars.

    `seq` is its place in the chain from 1; None for one from before there was a chain.
    """

    event_id: int
    at: datetime
    actor: str
    action: str
    subject: str
    detail: dict[str, Any]
    seq: int | None
    prev_hash: bytes | None
    hash: bytes | None


@dataclass(frozen=True, slots=True)
class Head:
    """Where the chain ends: how many events it has, and the hash of the last."""

    events: int
    hash: bytes


@dataclass(frozen=True, slots=True)
class Flaw:
    """Where the chain does not add up; `seq` counts from 1."""

    seq: int
    what: str


async def append(conn: Connection, actor: str, action: str, subject: str, **detail: object) -> None:
    """Writes one event in the caller's transaction, which others who write one wait for; `detail` must fit JSON."""
    cursor = await conn.execute(
        "UPDATE audit_chain SET events = events + 1 RETURNING events, head, clock_timestamp(), %s::jsonb",
        [Jsonb(detail)],
    )
    row = await cursor.fetchone()
    assert row is not None, "the migration wrote the one row"
    seq, head, at, kept = row  # the particulars as Postgres gives them back, which is what can be verified
    own = event_hash(seq, at, actor, action, subject, kept, head)
    await conn.execute(
        "INSERT INTO audit_events (at, actor, action, subject, detail, seq, prev_hash, hash)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s, %s)",
        [at, actor, action, subject, Jsonb(kept), seq, head, own],
    )
    await conn.execute("UPDATE audit_chain SET head = %s", [own])


def event_hash(
    seq: int, at: datetime, actor: str, action: str, subject: str, detail: dict[str, Any], prev_hash: bytes
) -> bytes:
    """sha256 of the event's fields and of the hash before it, as canonical JSON."""
    fields = [seq, at.astimezone(UTC).isoformat(), actor, action, subject, detail, prev_hash.hex()]
    return hashlib.sha256(json.dumps(fields, sort_keys=True, separators=(",", ":")).encode()).digest()


async def latest(
    conn: Connection, limit: int, *, action: str = "", subject: str = "", sealed: bool = True
) -> list[AuditEvent]:
    """The last `limit` events, newest first; those whose action and subject begin so.

    Without `sealed`, those that tell of sealed cases are left out.
    """
    async with conn.cursor(row_factory=class_row(AuditEvent)) as cursor:
        await cursor.execute(
            f"SELECT {COLUMNS} FROM audit_events event WHERE starts_with(action, %(action)s)"  # noqa: S608 constants
            f" AND starts_with(subject, %(subject)s) AND (%(sealed)s OR NOT {_TELLS_OF_SEALED})"
            " ORDER BY event_id DESC LIMIT %(limit)s",
            {"action": action, "subject": subject, "sealed": sealed, "limit": limit},
        )
        return await cursor.fetchall()


@dataclass(frozen=True, slots=True)
class Look:
    """What to look for: who, what and whom events begin so with; `sealed`: also those that tell of sealed cases."""

    actor: str = ""
    action: str = ""
    subject: str = ""
    sealed: bool = False


async def page(conn: Connection, look: Look, before: int | None, limit: int) -> tuple[list[AuditEvent], int | None]:
    """Up to `limit` events, newest first, of ids below `before`, and the id before which the next page begins.

    One page looks back over 50,000 ids at most, so that a rare event takes pages to find instead of one long wait;
    a page may be empty and not the last. None after the last.
    """
    top = before if before is not None else await _top(conn)
    floor = max(top - REACH, 0)
    async with conn.cursor(row_factory=class_row(AuditEvent)) as cursor:
        await cursor.execute(
            f"SELECT {COLUMNS} FROM audit_events event WHERE event_id < %(top)s AND event_id >= %(floor)s"  # noqa: S608
            " AND starts_with(actor, %(actor)s) AND starts_with(action, %(action)s)"
            f" AND starts_with(subject, %(subject)s) AND (%(sealed)s OR NOT {_TELLS_OF_SEALED})"
            " ORDER BY event_id DESC LIMIT %(limit)s",
            {**asdict(look), "top": top, "floor": floor, "limit": limit + 1},
        )
        found = await cursor.fetchall()
    if len(found) > limit:
        return found[:limit], found[limit - 1].event_id
    return found, floor if floor > 1 else None


async def head(conn: Connection) -> Head:
    """Where the chain ends now."""
    row = await (await conn.execute("SELECT events, head FROM audit_chain")).fetchone()
    assert row is not None, "the migration wrote the one row"
    return Head(*row)


async def verify(conn: Connection, known: Head | None = None) -> AsyncGenerator[Flaw, None]:
    """Checks the chain as one snapshot shows it; yields what does not add up, nothing where all is well.

    `known` is a head from earlier: the chain must have passed through it. Needs a transaction of its own.
    """
    await conn.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
    end = await head(conn)
    before, count = START, 0
    async with conn.cursor("audit", row_factory=class_row(AuditEvent)) as events:
        await events.execute(f"SELECT {COLUMNS} FROM audit_events WHERE seq IS NOT NULL ORDER BY seq")  # noqa: S608
        async for event in events:
            count += 1
            for what in _flaws(event, count, before):
                yield Flaw(count, what)
            before = event.hash or START
            if known is not None and known.events == count and known.hash != before:
                yield Flaw(count, "is not what it was when the head that was kept was written down")
    if (count, before) != (end.events, end.hash):
        yield Flaw(count, "is not where the chain should end")
    if known is not None and known.events > count:
        yield Flaw(count, f"should be followed by others: {known.events} had been written down")
    if await _unchained_after(conn):
        yield Flaw(count, "is followed by an event outside the chain")


async def _top(conn: Connection) -> int:
    row = await (await conn.execute("SELECT coalesce(max(event_id), 0) + 1 FROM audit_events")).fetchone()
    return int(row[0]) if row else 1


async def _unchained_after(conn: Connection) -> bool:
    cursor = await conn.execute(
        "SELECT EXISTS (SELECT FROM audit_events WHERE seq IS NULL"
        " AND event_id > (SELECT min(event_id) FROM audit_events WHERE seq IS NOT NULL))"
    )
    return await cursor.fetchone() == (True,)


def _flaws(event: AuditEvent, seq: int, before: bytes) -> list[str]:
    flaws = []
    if event.seq != seq or event.prev_hash != before:
        flaws.append("does not follow on the event before")
    own = event_hash(
        event.seq or 0, event.at, event.actor, event.action, event.subject, event.detail, event.prev_hash or START
    )
    if own != event.hash:
        flaws.append("was changed")
    return flaws
