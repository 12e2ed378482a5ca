"""`portcullis accounts`: see and set how far an end user is trusted."""

from __future__ import annotations

import asyncio
import getpass
from enum import StrEnum
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from services.commands.plain import told_plainly
from services.core.config import HouseSettings
from services.core.errors import NotFound
from services.core.store import accounts, audit
from services.core.store.accounts import Account
from services.core.store.database import single_transaction

app = typer.Typer(help="See and set how far end users are trusted.", no_args_is_help=True)
out = Console(highlight=False)

Tenant = Annotated[str, typer.Argument(help="The platform.")]
Who = Annotated[str, typer.Argument(help="The end user, the platform's opaque id.")]


class TierName(StrEnum):
    """The tiers of an account."""

    NEW = "new"
    TRUSTED = "trusted"
    RED_TEAM = "red_team"


@app.command()
def show(tenant: Tenant, account: Who) -> None:
    """Show an account's tier and standing."""
    with told_plainly():
        known = asyncio.run(_read(tenant, account))
    until = f" until {known.standing_until:%Y-%m-%d %H:%M} UTC" if known.standing_until else ""
    out.print(f"{escape(account)} of {escape(tenant)}: tier {known.tier}, standing {known.standing}{until}")


@app.command("tier")
def set_tier(tenant: Tenant, account: Who, tier: Annotated[TierName, typer.Argument(help="Its new tier.")]) -> None:
    """Move an account to another tier; recorded with who did it.

    Example: portcullis accounts tier demo tester-1 red_team
    """
    with told_plainly():
        asyncio.run(_set_tier(tenant, account, tier))
    out.print(f"{escape(account)} of {escape(tenant)} is now of tier {tier.value}")


async def _read(tenant: str, account: str) -> Account:
    async with single_transaction(HouseSettings().database()) as conn:
        known = await accounts.get(conn, tenant, account)
    if known is None:
        raise NotFound(f"{tenant} has no account {account}; one is made by its first request", reason="ACCOUNT_UNKNOWN")
    return known


async def _set_tier(tenant: str, account: str, tier: TierName) -> None:
    async with single_transaction(HouseSettings().database()) as conn:
        before = await accounts.get_or_create(conn, tenant, account)
        await accounts.set_tier(conn, tenant, account, tier.value)
        who = getpass.getuser()
        await audit.append(conn, who, "account.tier", f"{tenant}/{account}", before=before.tier, after=tier.value)
