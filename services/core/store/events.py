"""What happened, for those who listen: analysts, webhooks, logs. Written in the transaction that made it so.

A reader goes by *position*: the transaction's number, then the event's place in it (sealed ones last, or a gap in the
numbers would betray them). Every transaction below the horizon, the oldest that still runs, has ended: who reads up to
there in this order misses nothing that commits late. Ids alone would not do, for a later id may be committed first. A
long writing transaction delays all readers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from services.core.store.database import Connection

CHANNEL = "events"
PLACE_BITS = 20  # events that one transaction may write: about a million
FORGOTTEN = "forgotten"
EVERY_TYPE = ("",)

Consumer = Literal["webhooks", "kafka"]


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened, at its `position` in the one order of all events; otherwise as `append` wrote it."""

    position: int
    event_id: int
    at: datetime
    tenant: str | None
    type: str
    subject: str
    sealed: bool
    data: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Page:
    """Events in order. `end` is where the next page begins; `full`: there may be more at once."""

    events: tuple[Event, ...]
    end: int
    full: bool


@dataclass(frozen=True, slots=True)
class Horizon:
    """Up to where events can be read now; `late`: some are committed beyond it and can be read in a moment."""

    position: int
    late: bool


async def append(
    conn: Connection, what: str, subject: str, *, tenant: str | None, sealed: bool = False, **data: object
) -> None:
    """Writes one event in the caller's transaction; listeners of `CHANNEL` are woken by the commit.

    `what` is dotted ("item.queued"), `subject` the id that it is about, `tenant` None for what is the house's own;
    `data` must be fit for JSON and holds no content. What is `sealed` is told to nobody without the sealed role.
    """
    await conn.execute(
        "INSERT INTO events (tenant, type, subject, sealed, data) VALUES (%s, %s, %s, %s, %s)",
        [tenant, what, subject, sealed, Jsonb(data)],
    )


async def horizon(conn: Connection) -> Horizon:
    """Up to where events can be read now."""
    cursor = await conn.execute(
        "SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint,"
        " EXISTS (SELECT 1 FROM events WHERE xid >= pg_snapshot_xmin(pg_current_snapshot()))"
    )
    row = await cursor.fetchone()
    assert row is not None, "a SELECT without FROM has one row"
    return Horizon(row[0] << PLACE_BITS, row[1])


async def read(
    conn: Connection,
    after: int,
    until: Horizon,
    *,
    sealed: Sequence[bool],
    types: Sequence[str] = EVERY_TYPE,
    tenant: str | None = None,
    limit: int,
) -> Page:
    """Up to `limit` events between the position `after` and the horizon, in order.

    `sealed` says which of both kinds, `types` are prefixes ("item."), a `tenant` leaves out all others'.
    """
    async with conn.cursor(row_factory=class_row(Event)) as cursor:
        await cursor.execute(
            """
            SELECT position, event_id, at, tenant, type, subject, sealed, data FROM (
                SELECT *, (xid::text::bigint << %(bits)s)
                    + row_number() OVER (PARTITION BY xid ORDER BY sealed, event_id) AS position
                FROM events WHERE xid >= %(first)s::text::xid8 AND xid < %(horizon)s::text::xid8
            ) AS placed
            WHERE position > %(after)s AND sealed = ANY(%(sealed)s)
                AND (%(tenant)s::text IS NULL OR tenant = %(tenant)s)
                AND EXISTS (SELECT 1 FROM unnest(%(types)s::text[]) AS prefix WHERE starts_with(type, prefix))
            ORDER BY position LIMIT %(limit)s
            """,
            {
                "bits": PLACE_BITS,
                "first": str(after >> PLACE_BITS),
                "horizon": str(until.position >> PLACE_BITS),
                "after": after,
                "sealed": list(sealed),
                "tenant": tenant,
                "types": list(types),
                "limit": limit,
            },
        )
        found = tuple(await cursor.fetchall())
    full = len(found) == limit
    return Page(found, found[-1].position if full else max(after, until.position), full)


async def cursor_of(conn: Connection, consumer: Consumer) -> int:
    """Up to where a consumer has come; 0 for one that never read."""
    cursor = await conn.execute("SELECT position FROM event_cursors WHERE name = %s", [consumer])
    row = await cursor.fetchone()
    return int(row[0]) if row is not None else 0


async def move_cursor(conn: Connection, consumer: Consumer, position: int) -> None:
    """Records how far a consumer has come, in the transaction that made it so."""
    await _set(conn, consumer, position)


async def leave(conn: Connection, consumer: Consumer) -> None:
    """Ends a consumer: nothing is kept for it any longer; if it comes again, it begins with the oldest event kept."""
    await conn.execute("DELETE FROM event_cursors WHERE name = %s", [consumer])


async def forgotten(conn: Connection) -> int:
    """The position up to which events were deleted; who resumes before it has missed some."""
    cursor = await conn.execute("SELECT position FROM event_cursors WHERE name = %s", [FORGOTTEN])
    row = await cursor.fetchone()
    return int(row[0]) if row is not None else 0


async def forget(conn: Connection, days: float, limit: int) -> int:
    """Deletes up to `limit` events older than `days`, oldest first, and returns how many.

    Kafka's cursor and, while there is an endpoint in use, the webhooks' must have passed them.
    """
    cursor = await conn.execute(
        """
        WITH bound AS (
            SELECT least(
                pg_snapshot_xmin(pg_current_snapshot())::text::bigint << %(bits)s,
                (SELECT position FROM event_cursors WHERE name = 'kafka'),
                CASE WHEN EXISTS (SELECT 1 FROM webhook_endpoints WHERE enabled)
                    THEN coalesce((SELECT position FROM event_cursors WHERE name = 'webhooks'), 0) END
            ) >> %(bits)s AS xid
        ), old AS (
            SELECT event_id FROM events, bound
            WHERE events.xid < bound.xid::text::xid8 AND at < now() - make_interval(secs => %(seconds)s)
            ORDER BY events.xid, event_id LIMIT %(limit)s
        )
        DELETE FROM events USING old WHERE events.event_id = old.event_id RETURNING events.xid::text::bigint
        """,
        {"bits": PLACE_BITS, "seconds": days * 86_400, "limit": limit},
    )
    deleted = [row[0] for row in await cursor.fetchall()]
    if deleted:
        await _set(conn, FORGOTTEN, (max(deleted) + 1) << PLACE_BITS)
    return len(deleted)


async def mend_restored(conn: Connection) -> bool:
    """Renumbers events that a dump brought from another server, whose transactions were counted otherwise.

    True where there were some: every consumer then begins anew with the oldest event kept.
    """
    cursor = await conn.execute(
        "UPDATE events SET xid = '3' WHERE EXISTS"
        " (SELECT 1 FROM events WHERE xid >= pg_snapshot_xmax(pg_current_snapshot()))"
    )
    if cursor.rowcount:
        await conn.execute("DELETE FROM event_cursors")
    return cursor.rowcount > 0


async def _set(conn: Connection, name: str, position: int) -> None:
    await conn.execute(
        "INSERT INTO event_cursors (name, position) VALUES (%s, %s)"
        " ON CONFLICT (name) DO UPDATE SET position = greatest(event_cursors.position, excluded.position),"
        " moved_at = now()",
        [name, position],
    )
