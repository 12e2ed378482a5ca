"""`portcullis tenants`: the platforms of this house, and the keys that they show."""

from __future__ import annotations

import asyncio
import getpass
from collections.abc import Awaitable, Callable
from typing import Annotated, TypeVar

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from services.commands.plain import told_plainly
from services.core.config import HouseSettings
from services.core.store import audit, tenants
from services.core.store.database import Connection, single_transaction

app = typer.Typer(help="The platforms of this house, and the API keys that they show.", no_args_is_help=True)
out = Console(highlight=False)

Answer = TypeVar("Answer")
Tenant = Annotated[str, typer.Argument(help="The platform: 1–64 characters of a-z, 0-9 and -.")]


@app.command("list")
def list_tenants() -> None:
    """List the platforms."""
    rows = _in_transaction(tenants.list_tenants)
    table = Table("platform", "since (UTC)", "keys")
    for tenant, since, keys in rows:
        table.add_row(tenant, f"{since:%Y-%m-%d %H:%M}", str(keys))
    out.print(table if rows else "no platform yet: portcullis tenants add acme")


@app.command()
def add(tenant: Tenant) -> None:
    """Add a platform and make its first key, which is shown once.

    Example: portcullis tenants add acme
    """

    async def work(conn: Connection) -> str:
        await tenants.create_tenant(conn, tenant)
        await audit.append(conn, getpass.getuser(), "tenant.add", tenant)
        return await _new_key(conn, tenant)

    _show(tenant, _in_transaction(work))


@app.command()
def key(tenant: Tenant) -> None:
    """Make another key for a platform, which is shown once. Change keys so: new one, deploy it, revoke the old one."""
    _show(tenant, _in_transaction(lambda conn: _new_key(conn, tenant)))


@app.command()
def keys(tenant: Tenant) -> None:
    """List a platform's keys, by id."""
    rows = _in_transaction(lambda conn: tenants.list_keys(conn, tenant))
    table = Table("key", "made (UTC)", "revoked (UTC)")
    for row in rows:
        revoked = f"{row.revoked_at:%Y-%m-%d %H:%M}" if row.revoked_at else "opens"
        table.add_row(row.key_id, f"{row.created_at:%Y-%m-%d %H:%M}", revoked)
    out.print(table if rows else f"{escape(tenant)} has no key: portcullis tenants key {escape(tenant)}")


@app.command()
def revoke(
    key_id: Annotated[str, typer.Argument(help="The key's id, between pk_ and the secret.")],
) -> None:
    """Revoke a key at once; what runs under it is not ended.

    Example: portcullis tenants revoke 0f1e2d3c4b5a6978
    """

    async def work(conn: Connection) -> None:
        await tenants.revoke_api_key(conn, key_id)
        await audit.append(conn, getpass.getuser(), "tenant.revoke_key", key_id)

    _in_transaction(work)
    out.print(f"[bold]{escape(key_id)}[/] opens nothing any more")


async def _new_key(conn: Connection, tenant: str) -> str:
    made = await tenants.create_api_key(conn, tenant)
    await audit.append(conn, getpass.getuser(), "tenant.key", tenant, key=made.split("_")[1])
    return made


def _show(tenant: str, made: str) -> None:
    out.print(f"a key of {escape(tenant)}, shown only now:")
    out.print(made, soft_wrap=True, markup=False)


def _in_transaction(work: Callable[[Connection], Awaitable[Answer]]) -> Answer:
    async def run() -> Answer:
        async with single_transaction(HouseSettings().database()) as conn:
            return await work(conn)

    with told_plainly():
        return asyncio.run(run())
