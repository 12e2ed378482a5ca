"""`portcullis audit`: read the record of what people did, and prove that nobody changed it."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from portcullis.errors import PortcullisError as ClientError
from services.commands.plain import told_plainly
from services.core.config import HouseSettings
from services.core.store import audit, review_events
from services.core.store.audit import AuditEvent, Head
from services.core.store.database import single_transaction

app = typer.Typer(help="Read the record of what people did, and prove that nobody changed it.", no_args_is_help=True)
out = Console(highlight=False)
SHOWN = 20


@app.command("list")
def list_events(
    action: Annotated[str, typer.Option(help="Only actions that begin so: account, banks.import …")] = "",
    subject: Annotated[str, typer.Option(help="Only what was done to subjects that begin so: demo/user-1 …")] = "",
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many, from the newest.")] = 50,
) -> None:
    """Show what people did to the house, newest first. What tells of sealed cases is not for this list.

    Example: portcullis audit list --action account
    """
    with told_plainly():
        events = asyncio.run(_latest(limit, action, subject))
    table = Table("at (UTC)", "who", "did", "to", "particulars")
    for event in events:
        detail = ", ".join(f"{key}={value}" for key, value in event.detail.items())
        table.add_row(f"{event.at:%Y-%m-%d %H:%M:%S}", *map(escape, (event.actor, event.action, event.subject, detail)))
    out.print(table if events else "nothing is recorded yet")


@app.command()
def checkpoint() -> None:
    """Print where the trail ends now, as JSON: keep it outside this house, to verify against later.

    Example: portcullis audit checkpoint > /mnt/elsewhere/audit-2026-11.json
    """
    with told_plainly():
        head = asyncio.run(_head())
    out.print(json.dumps({"events": head.events, "head": head.hash.hex()}), soft_wrap=True)


@app.command()
def verify(
    against: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="What `portcullis audit checkpoint` printed once.")
    ] = None,
) -> None:
    """Check every event of every trail: what people did, and each review item's own. Exit code 1 where one was changed.

    Example: portcullis audit verify --against audit-2026-11.json
    """
    known = _read(against) if against is not None else None
    with told_plainly():
        flaws, head = asyncio.run(_flaws(known))
    for flaw in flaws[:SHOWN]:
        out.print(f"[bold red]changed[/] {escape(flaw)}")
    if flaws:
        more = f", {SHOWN} of them shown" if len(flaws) > SHOWN else ""
        raise ClientError(
            f"the trail does not add up in {len(flaws)} places{more}", code="DATA_LOSS", reason="AUDIT_TAMPERED"
        )
    out.print(f"[bold green]all adds up[/]: {head.events} events of people, and the trail of every review item")


def _read(path: Path) -> Head:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return Head(int(found["events"]), bytes.fromhex(found["head"]))
    except (ValueError, KeyError, TypeError) as error:
        message = f"{path} is not what `portcullis audit checkpoint` prints"
        raise ClientError(message, code="INVALID_ARGUMENT", reason="BAD_CHECKPOINT") from error


async def _latest(limit: int, action: str, subject: str) -> list[AuditEvent]:
    async with single_transaction(HouseSettings().database()) as conn:
        return await audit.latest(conn, limit, action=action, subject=subject, sealed=False)


async def _head() -> Head:
    async with single_transaction(HouseSettings().database()) as conn:
        return await audit.head(conn)


async def _flaws(known: Head | None) -> tuple[list[str], Head]:
    dsn = HouseSettings().database()
    async with single_transaction(dsn) as conn:
        flaws = [f"event {flaw.seq} {flaw.what}" async for flaw in audit.verify(conn, known)]
        head = await audit.head(conn)
    async with single_transaction(dsn) as conn:
        flaws += [f"item {flaw.item_id}, event {flaw.seq} {flaw.what}" async for flaw in review_events.verify(conn)]
    return flaws, head
