"""Credits of accounts, and what platforms said of accounts; both durable."""

from __future__ import annotations

from datetime import date
from uuid import UUID

from services.core.errors import AlreadyExists
from services.core.limits.credits import Credits
from services.core.policy.limit_rules import CreditRules
from services.core.store.database import Connection


async def lock(conn: Connection, tenant: str, account: str, rules: CreditRules) -> Credits:
    """The account's credits in this month, its row locked until the transaction ends; the account is known."""
    cursor = await conn.execute(
        "INSERT INTO credits AS old (tenant, account, month, granted, used, packs) VALUES (%s, %s, %s, 0, 0, 0)"
        " ON CONFLICT (tenant, account) DO UPDATE SET month = old.month"
        " RETURNING month, granted, used, packs, (clock_timestamp() AT TIME ZONE 'UTC')::date,"
        " (SELECT (created_at AT TIME ZONE 'UTC')::date FROM accounts AS of"
        " WHERE of.tenant = old.tenant AND of.account = old.account)",
        [tenant, account, date.min],
    )
    return _current(await cursor.fetchone(), rules)


async def read(conn: Connection, tenant: str, account: str, rules: CreditRules) -> Credits:
    """The account's credits in this month; the account is known."""
    cursor = await conn.execute(
        "SELECT coalesce(month, %s), coalesce(granted, 0), coalesce(used, 0), coalesce(packs, 0),"
        " (clock_timestamp() AT TIME ZONE 'UTC')::date, (created_at AT TIME ZONE 'UTC')::date"
        " FROM accounts LEFT JOIN credits USING (tenant, account) WHERE tenant = %s AND account = %s",
        [date.min, tenant, account],
    )
    return _current(await cursor.fetchone(), rules)


async def save(conn: Connection, tenant: str, account: str, held: Credits) -> None:
    """Writes what `lock` gave and arithmetic has changed."""
    await conn.execute(
        "UPDATE credits SET month = %s, granted = %s, used = %s, packs = %s WHERE tenant = %s AND account = %s",
        [held.month, held.granted, held.used, held.packs, tenant, account],
    )


async def month_ends_in(conn: Connection) -> float:
    """Seconds until the next calendar month in UTC."""
    cursor = await conn.execute(
        "SELECT extract(epoch FROM date_trunc('month', now() AT TIME ZONE 'UTC') + interval '1 month'"
        " - now() AT TIME ZONE 'UTC')::float8"
    )
    row = await cursor.fetchone()
    assert row is not None, "a SELECT without FROM has one row"
    seconds: float = row[0]
    return seconds


async def note_update(
    conn: Connection, tenant: str, request_id: UUID, account: str, content_digest: bytes, pictures: int
) -> bool:
    """Records what a platform said of an account; False where this very request was recorded before.

    Raises AlreadyExists where the id was used for other content.
    """
    cursor = await conn.execute(
        "INSERT INTO account_updates (tenant, request_id, account, content_digest, credits) VALUES (%s, %s, %s, %s, %s)"
        " ON CONFLICT DO NOTHING",
        [tenant, request_id, account, content_digest, pictures],
    )
    if cursor.rowcount:
        return True
    before = await conn.execute(
        "SELECT content_digest = %s FROM account_updates WHERE tenant = %s AND request_id = %s",
        [content_digest, tenant, request_id],
    )
    if await before.fetchone() != (True,):
        raise AlreadyExists("this request id was used for other content; take a new one", reason="REQUEST_ID_REUSED")
    return False


def _current(row: tuple[date, int, int, int, date, date] | None, rules: CreditRules) -> Credits:
    assert row is not None, "the account is known"
    month, granted, used, packs, today, created = row
    this_month = today.replace(day=1)
    return Credits(month, granted, used, packs).at(this_month, rules.allowance(this_month, created))
