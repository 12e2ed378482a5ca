"""Accounts: the platforms' end users under opaque ids, with the tier and standing that we give them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from psycopg.errors import ForeignKeyViolation
from psycopg.rows import class_row

from services.core.errors import NotFound
from services.core.store.database import Connection
from services.core.verdicts import Tier

Standing = Literal["good", "suspended"]

READ = "SELECT tenant, account, tier, standing, standing_until FROM accounts WHERE tenant = %s AND account = %s"


@dataclass(frozen=True, slots=True)
class Account:
    """An end user; a suspension ends at `standing_until`, or never where that is None."""

    tenant: str
    account: str
    tier: Tier
    standing: Standing
    standing_until: datetime | None

    def suspended(self, now: datetime) -> bool:
        """Whether a suspension holds at `now` (UTC)."""
        return self.standing == "suspended" and (self.standing_until is None or now < self.standing_until)


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
        await conn.execute(
            "INSERT INTO accounts (tenant, account) VALUES (%s, %s) ON CONFLICT DO NOTHING", [tenant, account]
        )
    except ForeignKeyViolation as error:
        raise NotFound(f"there is no tenant {tenant}", reason="TENANT_UNKNOWN") from error
    made = await get(conn, tenant, account)
    assert made is not None, "a row that was just inserted is there"
    return made


async def reinstate(conn: Connection, tenant: str, account: str) -> None:
    """Ends a suspension."""
    await conn.execute(
        "UPDATE accounts SET standing = 'good', standing_until = NULL WHERE tenant = %s AND account = %s",
        [tenant, account],
    )


async def set_tier(conn: Connection, tenant: str, account: str, tier: Tier) -> None:
    """Moves a known account to another tier."""
    await conn.execute("UPDATE accounts SET tier = %s WHERE tenant = %s AND account = %s", [tier, tenant, account])
