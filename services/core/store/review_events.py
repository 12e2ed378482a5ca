"""The audit trail of review items: append-only, each item's events chained by sha256.

The hash of an event covers everything in it and the hash before it; the item's row holds the length and the end of its
chain. A changed, inserted or missing event, also a missing last one, does not add up any more.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from services.core.store.database import Connection

START = bytes(32)


@dataclass(frozen=True, slots=True)
class Event:
    """One step of an item, the `seq`-th from 1."""

    item_id: UUID
    seq: int
    kind: str
    actor: str
    at: datetime
    detail: dict[str, str]
    prev_hash: bytes
    hash: bytes


@dataclass(frozen=True, slots=True)
class Place:
    """The next place of an item's chain: its number, the hash of the event before, and the time (UTC)."""

    seq: int
    head: bytes
    at: datetime


@dataclass(frozen=True, slots=True)
class Flaw:
    """Where a chain does not add up."""

    item_id: UUID
    seq: int
    what: str


def event_hash(
    item_id: UUID, seq: int, kind: str, actor: str, at: datetime, detail: Mapping[str, str], prev_hash: bytes
) -> bytes:
    """sha256 of the event's fields and of the hash before it, as canonical JSON."""
    fields = [str(item_id), seq, kind, actor, at.astimezone(UTC).isoformat(), dict(detail), prev_hash.hex()]
    return hashlib.sha256(json.dumps(fields, sort_keys=True, separators=(",", ":")).encode()).digest()


async def append(conn: Connection, item_id: UUID, kind: str, actor: str, **detail: str) -> None:
    """Adds an event to an item's chain; the item stays locked until the transaction ends."""
    cursor = await conn.execute(
        "UPDATE review_items SET events = events + 1 WHERE item_id = %s RETURNING events, head, clock_timestamp()",
        [item_id],
    )
    row = await cursor.fetchone()
    assert row is not None, "events are appended to items that exist"
    await link(conn, item_id, Place(*row), kind, actor, **detail)


async def link(conn: Connection, item_id: UUID, place: Place, kind: str, actor: str, **detail: str) -> None:
    """Writes an event at a place that the caller has taken for it, by raising the item's `events` by one."""
    seq, head, at = place.seq, place.head, place.at
    await conn.execute(
        """
        WITH event AS (
            INSERT INTO review_events (item_id, seq, kind, actor, at, detail, prev_hash, hash)
            VALUES (%s, %s, %s, %s, %s, %s, %s, %s) RETURNING item_id, hash
        ) UPDATE review_items SET head = event.hash FROM event WHERE review_items.item_id = event.item_id
        """,
        [item_id, seq, kind, actor, at, Jsonb(detail), head, event_hash(item_id, seq, kind, actor, at, detail, head)],
    )


async def of_item(conn: Connection, item_id: UUID) -> list[Event]:
    """An item's events, oldest first."""
    async with conn.cursor(row_factory=class_row(Event)) as cursor:
        await cursor.execute("SELECT * FROM review_events WHERE item_id = %s ORDER BY seq", [item_id])
        return await cursor.fetchall()


async def chain(conn: Connection, item_id: UUID) -> tuple[list[Event], list[Flaw]]:
    """An item's events, oldest first, and where they do not add up; none of both where there is no such item.

    Needs a transaction of its own, which sees one snapshot from then on.
    """
    await conn.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
    row = await (await conn.execute("SELECT events, head FROM review_items WHERE item_id = %s", [item_id])).fetchone()
    if row is None:
        return [], []
    events = await of_item(conn, item_id)
    return events, flaws_of(item_id, events, *row)


async def verify(conn: Connection) -> AsyncIterator[Flaw]:
    """Checks every chain, in one snapshot's order; yields what does not add up, nothing where all is well."""
    await conn.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
    async with conn.cursor("chains") as items, conn.cursor("links", row_factory=class_row(Event)) as links:
        await items.execute("SELECT item_id, events, head FROM review_items ORDER BY item_id")
        await links.execute("SELECT * FROM review_events ORDER BY item_id, seq")
        event = await links.fetchone()
        async for item_id, count, head in items:
            chain: list[Event] = []
            while event is not None and event.item_id == item_id:
                chain.append(event)
                event = await links.fetchone()
            for flaw in flaws_of(item_id, chain, count, head):
                yield flaw


def flaws_of(item_id: UUID, chain: list[Event], count: int, head: bytes) -> list[Flaw]:
    """What is wrong with one item's chain, which should have `count` events and end in `head`."""
    flaws: list[Flaw] = []
    before = START
    for seq, event in enumerate(chain, start=1):
        if event.seq != seq or event.prev_hash != before:
            flaws.append(Flaw(item_id, seq, "does not follow on the event before"))
        own = event_hash(item_id, event.seq, event.kind, event.actor, event.at, event.detail, event.prev_hash)
        if own != event.hash:
            flaws.append(Flaw(item_id, seq, "was changed"))
        before = event.hash
    if len(chain) != count or before != head:
        flaws.append(Flaw(item_id, len(chain), "is not where the item says that its chain ends"))
    return flaws
