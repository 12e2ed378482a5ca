"""Accounts: the platforms' end users under opaque ids, with the tier and standing that we give them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from psycopg.errors import ForeignKeyViolation
from psycopg.rows import class_row

from services.core.errors import NotFound
from services.core.standing.ladder import Standing
from services.core.store.database import Connection
from services.core.verdicts import Tier

READ = (
    "SELECT tenant, account, tier, standing, standing_until, standing_since, standing_reason, imposed, imposed_until,"
    " imposed_reason, pardoned_at, created_at FROM accounts WHERE tenant = %s AND account = %s"
)


@dataclass(frozen=True, slots=True)
class Account:
    """An end user. The standing ends at `standing_until`, or never where that is None; `standing_reason` is a code.

    `imposed` is the step that a person or a rule put it to, beside what its strikes lead to; steps reached up to
    `pardoned_at` hold no more. `fresh`: made just now, in the caller's transaction.
    """

    tenant: str
    account: str
    tier: Tier
    standing: Standing
    standing_until: datetime | None
    standing_since: datetime | None = None
    standing_reason: str = ""
    imposed: Standing | None = None
    imposed_until: datetime | None = None
    imposed_reason: str = ""
    pardoned_at: datetime | None = None
    created_at: datetime | None = None
    fresh: bool = False

    def standing_at(self, now: datetime) -> Standing:
        """The standing at `now` (UTC): good once it has ended, until it is worked out anew what comes next."""
        return "good" if self.ended(now) else self.standing

    def ended(self, now: datetime) -> bool:
        """Whether a standing other than good has come to its end."""
        return self.standing != "good" and self.standing_until is not None and self.standing_until <= now


async def get(conn: Connection, tenant: str, account: str) -> Account | None:
    """The account, None where it is not known."""
    async with conn.cursor(row_factory=class_row(Account)) as cursor:
        return await (await cursor.execute(READ, [tenant, account])).fetchone()


async def get_or_create(conn: Connection, tenant: str, account: str) -> Account:
    """The account, made as new and in good standing where it is not known; `account` is 1 … 128 characters.

    Raises NotFound where there is no such tenant.
    """
    if known := await get(conn, tenant, account):
        return known
    try:
        inserted = await conn.execute(
            "INSERT INTO accounts (tenant, account) VALUES (%s, %s) ON CONFLICT DO NOTHING", [tenant, account]
        )
    except ForeignKeyViolation as error:
        raise NotFound(f"there is no tenant {tenant}", reason="TENANT_UNKNOWN") from error
    made = await get(conn, tenant, account)
    assert made is not None, "a row that was just inserted is there"
    return replace(made, fresh=inserted.rowcount == 1)


async def lock(conn: Connection, tenant: str, account: str) -> Account:
    """The account, locked until the transaction ends; raises NotFound where it is not known."""
    async with conn.cursor(row_factory=class_row(Account)) as cursor:
        known = await (await cursor.execute(f"{READ} FOR UPDATE", [tenant, account])).fetchone()
    if known is None:
        raise unknown(tenant, account)
    return known


def unknown(tenant: str, account: str) -> NotFound:
    """The error for an account that never asked for anything."""
    return NotFound(f"{tenant} has no account {account}; one is made by its first request", reason="ACCOUNT_UNKNOWN")


async def set_tier(conn: Connection, tenant: str, account: str, tier: Tier) -> None:
    """Moves a known account to another tier."""
    await conn.execute("UPDATE accounts SET tier = %s WHERE tenant = %s AND account = %s", [tier, tenant, account])


async def set_standing(conn: Connection, account: Account) -> None:
    """Writes what `account`, whose row is locked, says of its standing."""
    await conn.execute(
        "UPDATE accounts SET standing = %s, standing_since = %s, standing_until = %s, standing_reason = %s,"
        " imposed = %s, imposed_until = %s, imposed_reason = %s, pardoned_at = %s WHERE tenant = %s AND account = %s",
        [
            account.standing,
            account.standing_since,
            account.standing_until,
            account.standing_reason,
            account.imposed,
            account.imposed_until,
            account.imposed_reason,
            account.pardoned_at,
            account.tenant,
            account.account,
        ],
    )


async def ended(conn: Connection, now: datetime, limit: int) -> list[tuple[str, str]]:
    """Up to `limit` accounts (tenant, account) whose standing has come to its end."""
    cursor = await conn.execute(
        "SELECT tenant, account FROM accounts WHERE standing <> 'good' AND standing_until <= %s"
        " ORDER BY standing_until LIMIT %s",
        [now, limit],
    )
    return [(tenant, account) for tenant, account in await cursor.fetchall()]


async def by_standing(conn: Connection) -> dict[Standing, int]:
    """How many accounts are in each standing but good."""
    cursor = await conn.execute("SELECT standing, count(*) FROM accounts WHERE standing <> 'good' GROUP BY standing")
    return dict(await cursor.fetchall())
