"""What happened, for those who listen: analysts, webhooks, logs. Written in the transaction that made it so."""

from __future__ import annotations

from psycopg.types.json import Jsonb

from services.core.store.database import Connection

CHANNEL = "events"


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
