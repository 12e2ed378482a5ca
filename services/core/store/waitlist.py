"""The waitlist: accounts that wait for an invitation to the next tier."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from psycopg.rows import class_row

from services.core.store.database import Connection
from services.core.verdicts import Tier

# What an invitation leads to. Testers of the filters are appointed, not invited.
NEXT: dict[Tier, Tier] = {"new": "trusted", "trusted": "invited"}


@dataclass(frozen=True, slots=True)
class Waiting:
    """Who waits, at which tier, since when (UTC)."""

    account: str
    tier: Tier
    joined_at: datetime


async def join(conn: Connection, tenant: str, account: str) -> None:
    """Puts a known account on the list; one that waits keeps its place, one that was invited waits anew at the end."""
    await conn.execute(
        "INSERT INTO waitlist AS old (tenant, account) VALUES (%s, %s) ON CONFLICT (tenant, account)"
        " DO UPDATE SET joined_at = now(), invited_at = NULL WHERE old.invited_at IS NOT NULL",
        [tenant, account],
    )


async def waits(conn: Connection, tenant: str, account: str) -> bool:
    """Whether an account waits."""
    cursor = await conn.execute(
        "SELECT FROM waitlist WHERE tenant = %s AND account = %s AND invited_at IS NULL", [tenant, account]
    )
    return await cursor.fetchone() is not None


async def waiting(conn: Connection, tenant: str, limit: int) -> list[Waiting]:
    """The first `limit` of those who wait, longest first; who is not in good standing waits, but is not listed."""
    async with conn.cursor(row_factory=class_row(Waiting)) as cursor:
        await cursor.execute(
            "SELECT account, tier, joined_at FROM waitlist JOIN accounts USING (tenant, account)"
            " WHERE tenant = %s AND invited_at IS NULL AND standing = 'good' AND tier IN ('new', 'trusted')"
            " ORDER BY joined_at, account LIMIT %s",
            [tenant, limit],
        )
        return await cursor.fetchall()


async def leave(conn: Connection, tenant: str, account: str) -> None:
    """Takes an account off the list, for it was invited."""
    await conn.execute(
        "UPDATE waitlist SET invited_at = now() WHERE tenant = %s AND account = %s AND invited_at IS NULL",
        [tenant, account],
    )
