"""`portcullis staff`: who may use the analysts' console, and as what."""

from __future__ import annotations

import asyncio
import getpass
from enum import StrEnum
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from services.commands.plain import told_plainly
from services.core.config import HouseSettings
from services.core.staff import ROLES
from services.core.store import staff
from services.core.store.database import Connection, single_transaction
from services.core.store.staff import Member
from services.review.console.settings import ConsoleSettings

app = typer.Typer(help="Invite people to the analysts' console and give them roles.", no_args_is_help=True)
out = Console(highlight=False)

Name = Annotated[str, typer.Argument(help="The person, as in analyst/<name>.")]
RoleName = StrEnum("RoleName", {role.upper(): role for role in ROLES})  # type: ignore[misc]
Roles = Annotated[list[RoleName], typer.Option("--role", help="A role; may be given more than once.")]


@app.command()
def invite(
    name: Name,
    role: Roles,
    email: Annotated[
        str | None, typer.Option(help="Their address at your identity provider, where you use one.")
    ] = None,
) -> None:
    """Add a person and print the link by which they set a password and a second factor; good once.

    With an identity provider there is no link: they sign in there, known by their email.

    Example: portcullis staff invite alice --role analyst --role senior
    """
    with told_plainly():
        link = asyncio.run(_invite(name, [str(r) for r in role], email))
    _say_link(name, link)


@app.command("list")
def list_people() -> None:
    """List everybody with their roles."""
    with told_plainly():
        people = asyncio.run(_everybody())
    table = Table("name", "roles", "state", "email", "invited by", box=None)
    for person in people:
        table.add_row(
            person.name, ", ".join(person.roles), _state(person), escape(person.email or ""), person.created_by
        )
    out.print(table)


@app.command()
def roles(name: Name, role: Roles) -> None:
    """Give a person exactly these roles; their sessions end.

    Example: portcullis staff roles alice --role lead
    """
    with told_plainly():
        asyncio.run(_set_roles(name, [str(r) for r in role]))
    out.print(f"{escape(name)} now has the roles {', '.join(role)}; sessions ended")


@app.command()
def disable(name: Name) -> None:
    """Shut a person out at once."""
    with told_plainly():
        asyncio.run(_disable(name))
    out.print(f"{escape(name)} is shut out; sessions ended")


@app.command()
def reset(name: Name) -> None:
    """Take a person's password and second factor away and invite them anew; also lets in again who was disabled."""
    with told_plainly():
        link = asyncio.run(_reset(name))
    _say_link(name, link)


def _say_link(name: str, link: str | None) -> None:
    if link is None:
        out.print(f"{escape(name)} may sign in with your identity provider")
        return
    out.print(f"{escape(name)} is invited; this link is good once, for {_days()} days:")
    out.print(link, soft_wrap=True)


def _days() -> str:
    return f"{ConsoleSettings().invitation_seconds / 86_400:.3g}"


def _state(person: Member) -> str:
    if person.disabled_at is not None:
        return "disabled"
    return "joined" if person.password_hash or person.subject else "invited"


async def _invite(name: str, given: list[str], email: str | None) -> str | None:
    async with single_transaction(HouseSettings().database()) as conn:
        await staff.add(conn, name, given, email, getpass.getuser())
        return await _link(conn, name)


async def _link(conn: Connection, name: str) -> str | None:
    settings = ConsoleSettings()
    if settings.oidc_issuer:
        return None
    token = await staff.invite(conn, name, settings.invitation_seconds, getpass.getuser())
    return f"{settings.origin(HouseSettings())}/join/{token}"


async def _everybody() -> list[Member]:
    async with single_transaction(HouseSettings().database()) as conn:
        return await staff.everybody(conn)


async def _set_roles(name: str, given: list[str]) -> None:
    async with single_transaction(HouseSettings().database()) as conn:
        await staff.set_roles(conn, name, given, getpass.getuser())


async def _disable(name: str) -> None:
    async with single_transaction(HouseSettings().database()) as conn:
        await staff.disable(conn, name, getpass.getuser())


async def _reset(name: str) -> str | None:
    async with single_transaction(HouseSettings().database()) as conn:
        await staff.reset(conn, name, getpass.getuser())
        return await _link(conn, name)
