"""`portcullis accounts`: see and set how far end users are trusted, and what their conduct has led to."""

from __future__ import annotations

import asyncio
import getpass
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from services.commands.accounts_tables import of_histogram, of_history, of_strikes, of_waiting
from services.commands.plain import told_plainly
from services.core.config import HouseSettings
from services.core.standing import backtest, conduct, trust
from services.core.standing.conduct import Imposed
from services.core.store import accounts, policies, strikes, waitlist
from services.core.store.accounts import Account
from services.core.store.database import Connection, single_transaction

app = typer.Typer(
    help="See and set how far end users are trusted, and what their conduct leads to.", no_args_is_help=True
)
out = Console(highlight=False)

Tenant = Annotated[str, typer.Argument(help="The platform.")]
Who = Annotated[str, typer.Argument(help="The end user, the platform's opaque id.")]
Why = Annotated[str, typer.Option("--why", help="Why; recorded with your name.")]
Hours = Annotated[float, typer.Option(min=0.25, max=24 * 3650, help="For how many hours.")]
Days = Annotated[float, typer.Option(min=0, max=3650, help="For how many days; 0: without end.")]


class TierName(StrEnum):
    """The tiers of an account."""

    NEW = "new"
    TRUSTED = "trusted"
    INVITED = "invited"
    RED_TEAM = "red_team"


@app.command()
def show(tenant: Tenant, account: Who) -> None:
    """Show an account's tier and standing, what its strikes weigh, and how it came there."""
    with told_plainly():
        known, weight, history = asyncio.run(_read(tenant, account))
    out.print(f"{_line(known)}; its strikes weigh {weight:.2f}")
    if history:
        out.print(of_history(history))


@app.command("strikes")
def show_strikes(tenant: Tenant, account: Who) -> None:
    """List an account's strikes, newest first; those of sealed cases are not for this list."""

    async def read() -> Table:
        async with _transaction() as conn:
            await _known(conn, tenant, account)
            return of_strikes(await strikes.of_account(conn, tenant, account, sealed=[False]))

    with told_plainly():
        out.print(asyncio.run(read()))


@app.command()
def warn(tenant: Tenant, account: Who, why: Why, days: Days = 14.0) -> None:
    """Warn an account: its platform is told, and tells the user."""
    _impose(tenant, account, "warned", days * 24, why)


@app.command()
def cool(tenant: Tenant, account: Who, why: Why, hours: Hours = 12.0) -> None:
    """Let an account do nothing for a while."""
    _impose(tenant, account, "cooling", hours, why)


@app.command()
def hold(tenant: Tenant, account: Who, why: Why, days: Days = 7.0) -> None:
    """Have a person look at everything that is made for an account before it leaves."""
    _impose(tenant, account, "held", days * 24, why)


@app.command()
def suspend(tenant: Tenant, account: Who, why: Why, days: Days = 30.0) -> None:
    """Suspend an account.

    Example: portcullis accounts suspend demo user-7 --days 14 --why "sells what it makes as photographs"
    """
    _impose(tenant, account, "suspended", days * 24, why)


@app.command()
def ban(tenant: Tenant, account: Who, why: Why) -> None:
    """Shut an account out without end."""
    _impose(tenant, account, "banned", 0, why)


@app.command()
def restore(tenant: Tenant, account: Who, why: Why) -> None:
    """End whatever holds for an account; its strikes keep their weight."""

    async def change() -> Account:
        async with _transaction() as conn:
            rules, now = (await policies.load_active(conn)).document.standing, datetime.now(UTC)
            await conduct.restore(conn, tenant, account, who=getpass.getuser(), rules=rules, now=now, note=why)
            return await _known(conn, tenant, account)

    with told_plainly():
        out.print(_line(asyncio.run(change())))


@app.command("tier")
def set_tier(
    tenant: Tenant,
    account: Who,
    tier: Annotated[TierName, typer.Argument(help="Its new tier.")],
    why: Annotated[str, typer.Option(help="Why; recorded with your name.")] = "",
) -> None:
    """Move an account to another tier; recorded with who did it.

    Example: portcullis accounts tier demo tester-1 red_team
    """

    async def change() -> None:
        async with _transaction() as conn:
            await accounts.get_or_create(conn, tenant, account)
            known = await accounts.lock(conn, tenant, account)
            await trust.give_tier(conn, known, tier.value, getpass.getuser(), "account.tier", why)

    with told_plainly():
        asyncio.run(change())
    out.print(f"{escape(account)} of {escape(tenant)} is now of tier {tier.value}")


@app.command("waitlist")
def show_waitlist(
    tenant: Tenant, most: Annotated[int, typer.Option(min=1, max=10_000, help="How many to list.")] = 50
) -> None:
    """List who waits for an invitation, longest first."""

    async def read() -> Table:
        async with _transaction() as conn:
            return of_waiting(await waitlist.waiting(conn, tenant, most))

    with told_plainly():
        out.print(asyncio.run(read()))


@app.command()
def invite(
    tenant: Tenant,
    account: Annotated[str, typer.Argument(help="The end user; without one, who has waited longest.")] = "",
    count: Annotated[int, typer.Option(min=1, max=10_000, help="How many of those who have waited longest.")] = 1,
) -> None:
    """Invite to the next tier: new accounts to trusted, trusted ones to invited.

    Example: portcullis accounts invite demo --count 100
    """

    async def change() -> list[str]:
        async with _transaction() as conn:
            names = [account] if account else [each.account for each in await waitlist.waiting(conn, tenant, count)]
            return [await _invite(conn, tenant, name) for name in names]

    with told_plainly():
        lines = asyncio.run(change())
    for line in lines:
        out.print(line)
    if not lines:
        out.print("nobody waits")


@app.command()
def histogram(
    tenant: Annotated[str, typer.Argument(help="The platform; without it, all.")] = "",
    days: Annotated[int, typer.Option(min=1, max=3650, help="How far back.")] = 90,
) -> None:
    """Show how much the strikes of accounts weigh, and whom each step of the ladder in force would meet.

    Reckoned from recorded refusals, by the policy in force, whether strikes were given at the time or not: look here
    before a step is switched from shadow to enforce.
    """

    async def read() -> tuple[Table, Table]:
        async with _transaction() as conn:
            await conn.execute("SET LOCAL statement_timeout = '10min'")
            rules, now = (await policies.load_active(conn)).document.standing, datetime.now(UTC)
            counted = await backtest.histogram(conn, rules, now - timedelta(days=days), now, tenant or None)
            return of_histogram(counted, rules)

    with told_plainly():
        for table in asyncio.run(read()):
            out.print(table)


def _impose(tenant: str, account: str, step: Imposed, hours: float, why: str) -> None:
    async def change() -> Account:
        async with _transaction() as conn:
            rules, now = (await policies.load_active(conn)).document.standing, datetime.now(UTC)
            until = now + timedelta(hours=hours) if hours else None
            await accounts.get_or_create(conn, tenant, account)
            who = getpass.getuser()
            await conduct.impose(
                conn, tenant, account, step, "person", until, who=who, rules=rules, now=now, confirmed=True, note=why
            )
            return await _known(conn, tenant, account)

    with told_plainly():
        known = asyncio.run(change())
    out.print(_line(known))


async def _invite(conn: Connection, tenant: str, account: str) -> str:
    tier = await trust.invite(conn, tenant, account, getpass.getuser())
    return f"{escape(account)} of {escape(tenant)} is now of tier {tier}"


async def _read(tenant: str, account: str) -> tuple[Account, float, list[strikes.Change]]:
    async with _transaction() as conn:
        known = await _known(conn, tenant, account)
        rules = (await policies.load_active(conn)).document.standing
        weight = await conduct.weight(conn, known, rules, datetime.now(UTC))
        return known, weight, await strikes.changes(conn, tenant, account, limit=20)


async def _known(conn: Connection, tenant: str, account: str) -> Account:
    if known := await accounts.get(conn, tenant, account):
        return known
    raise accounts.unknown(tenant, account)


def _line(known: Account) -> str:
    standing = known.standing_at(datetime.now(UTC))
    until = f" until {known.standing_until:%Y-%m-%d %H:%M} UTC" if known.standing_until and standing != "good" else ""
    why = f" ({escape(known.standing_reason)})" if known.standing_reason and standing != "good" else ""
    return f"{escape(known.account)} of {escape(known.tenant)}: tier {known.tier}, standing {standing}{until}{why}"


def _transaction() -> AbstractAsyncContextManager[Connection]:
    return single_transaction(HouseSettings().database())
