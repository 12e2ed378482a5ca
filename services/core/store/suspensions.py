"""Suspensions that wait for a person: review items of a kind of their own."""

from __future__ import annotations

from datetime import datetime

from services.core.store.database import Connection


async def is_open(conn: Connection, tenant: str, account: str) -> bool:
    """Whether a person is still to look at a suspension of this account."""
    cursor = await conn.execute(
        "SELECT FROM review_items WHERE tenant = %s AND account = %s AND kind = 'suspension' AND state <> 'decided'",
        [tenant, account],
    )
    return await cursor.fetchone() is not None


async def overdue(conn: Connection, now: datetime, limit: int) -> list[tuple[str, str]]:
    """Up to `limit` accounts (tenant, account) that are suspended still, though nobody looked at it in due time.

    A case in hand is being looked at.
    """
    cursor = await conn.execute(
        "SELECT DISTINCT tenant, account FROM review_items JOIN accounts USING (tenant, account)"
        " WHERE kind = 'suspension' AND state = 'queued' AND due_at < %s"
        " AND standing = 'suspended' AND EXISTS (SELECT FROM standing_changes WHERE change_id = subject"
        " AND at = standing_since) LIMIT %s",
        [now, limit],
    )
    return [(tenant, account) for tenant, account in await cursor.fetchall()]


async def count_overdue(conn: Connection, now: datetime) -> int:
    """How many suspensions wait for a person beyond their due time."""
    cursor = await conn.execute(
        "SELECT count(*) FROM review_items WHERE kind = 'suspension' AND state <> 'decided' AND due_at < %s", [now]
    )
    row = await cursor.fetchone()
    return int(row[0]) if row else 0
