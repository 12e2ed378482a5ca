"""The record of what people do to the house; rows never change and hold no words of a prompt."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from services.core.store.database import Connection


@dataclass(frozen=True, slots=True)
class AuditEvent:
    """Who (`actor`) did what (`action`, dotted) to whom or what (`subject`), when (UTC), and its particulars."""

    event_id: int
    at: datetime
    actor: str
    action: str
    subject: str
    detail: dict[str, Any]


async def append(conn: Connection, actor: str, action: str, subject: str, **detail: object) -> None:
    """Writes one event in the caller's transaction; `detail` must be fit for JSON."""
    await conn.execute(
        "INSERT INTO audit_events (actor, action, subject, detail) VALUES (%s, %s, %s, %s)",
        [actor, action, subject, Jsonb(detail)],
    )


async def latest(conn: Connection, limit: int) -> list[AuditEvent]:
    """The last `limit` events, newest first."""
    async with conn.cursor(row_factory=class_row(AuditEvent)) as cursor:
        await cursor.execute(
            "SELECT event_id, at, actor, action, subject, detail FROM audit_events ORDER BY event_id DESC LIMIT %s",
            [limit],
        )
        return await cursor.fetchall()
