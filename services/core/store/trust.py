"""Which new accounts may have earned trust: what the books say of them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from psycopg.rows import class_row

from services.core.store.database import Connection


@dataclass(frozen=True, slots=True)
class Candidate:
    """A new account in good standing; `earned`: enough allowed requests, and no open case."""

    tenant: str
    account: str
    earned: bool


async def candidates(
    conn: Connection, now: datetime, known_since: datetime, seen_before: datetime, allowed: int, limit: int
) -> list[Candidate]:
    """Up to `limit` accounts of tier new whose turn it is, marked as looked at `now`.

    They were made before `known_since` and last looked at before `seen_before`; `allowed` creating requests are enough.
    """
    async with conn.cursor(row_factory=class_row(Candidate)) as cursor:
        await cursor.execute(
            """
            WITH turn AS (
                SELECT tenant, account FROM accounts
                WHERE tier = 'new' AND standing = 'good' AND created_at <= %(known)s
                AND (trust_checked_at IS NULL OR trust_checked_at < %(seen)s)
                ORDER BY trust_checked_at NULLS FIRST LIMIT %(limit)s FOR UPDATE SKIP LOCKED
            )
            UPDATE accounts SET trust_checked_at = %(now)s FROM turn
            WHERE accounts.tenant = turn.tenant AND accounts.account = turn.account
            RETURNING accounts.tenant, accounts.account, (
                SELECT count(*) >= %(allowed)s FROM (
                    SELECT FROM decisions d WHERE d.tenant = turn.tenant AND d.account = turn.account AND verdict = 1
                    AND operation IN ('create', 'edit', 'variation') LIMIT %(allowed)s
                ) AS enough
            ) AND NOT EXISTS (
                SELECT FROM review_items i
                WHERE i.tenant = turn.tenant AND i.account = turn.account AND state <> 'decided'
            ) AS earned
            """,
            {"now": now, "known": known_since, "seen": seen_before, "allowed": allowed, "limit": limit},
        )
        return await cursor.fetchall()
