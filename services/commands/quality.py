"""`portcullis quality`: how well the desk judges, and the known cases that it is measured by."""

from __future__ import annotations

import asyncio
import getpass
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Annotated, TypeVar
from uuid import UUID

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from services.commands.plain import told_plainly
from services.core.config import HouseSettings
from services.core.errors import InvalidInput
from services.core.store import golden, quality
from services.core.store.database import Connection, single_transaction
from services.core.store.quality import Pair, Work
from services.review.agreement import Agreement, by_person, by_queue

app = typer.Typer(help="How well the desk judges, and the known cases that it is measured by.", no_args_is_help=True)
known = typer.Typer(help="Known cases, handed out among the others.", no_args_is_help=True)
app.add_typer(known, name="golden")
out = Console(highlight=False)

Answer = TypeVar("Answer")
LONGEST_NOTE = 2000


@app.command()
def figures(days: Annotated[int, typer.Option(min=1, max=365, help="How many days back.")] = 30) -> None:
    """Show each queue's agreement (Cohen's kappa of blind second looks), and each person's. Sealed cases are left out.

    Example: portcullis quality figures --days 7
    """
    pairs, work = _in_transaction(lambda conn: _read(conn, days))
    table = Table("queue", "judged", "judged twice", "agreed", "kappa")
    for queue in by_queue(pairs, work):
        table.add_row(queue.queue, str(queue.judged), *_agreement(queue.agreement))
    out.print(table if work else f"nobody judged anything in {days} days")
    if not work:
        return
    people = Table("queue", "who", "judged", "seconds", "twice", "agreed", "kappa", "overturned", "golden right")
    for person in by_person(pairs, work):
        row = person.work
        seconds = "–" if row.median_seconds is None else f"{row.median_seconds:.0f}"
        right = f"{row.golden_right} of {row.golden}"
        people.add_row(
            row.queue,
            escape(row.analyst),
            str(row.judged),
            seconds,
            *_agreement(person.agreement),
            str(row.overturned),
            right,
        )
    out.print(people)


@known.command()
def add(
    item: Annotated[str, typer.Argument(help="A settled item; what was decided is the known answer.")],
    note: Annotated[str, typer.Option(help=f"Why it is so, up to {LONGEST_NOTE} characters.")] = "",
) -> None:
    """Make a settled case golden; queues with a `golden` share hand out copies of it.

    Example: portcullis quality golden add 3f0c… --note "a toy: release"
    """
    if len(note) > LONGEST_NOTE:
        raise typer.BadParameter(f"at most {LONGEST_NOTE} characters", param_hint="--note")
    made = _in_transaction(lambda conn: golden.add(conn, _uuid("item", item), note, getpass.getuser()))
    out.print(f"[bold green]golden[/] {made}", soft_wrap=True)


@known.command("list")
def list_golden() -> None:
    """List the golden cases, and how often people judged them right."""
    rows = _in_transaction(golden.listed)
    table = Table("golden", "of item", "queue", "answer", "right", "note", "")
    for row in rows:
        state = "retired" if row.retired_at else ""
        right = f"{row.right} of {row.judged}"
        table.add_row(str(row.golden), str(row.item_id), row.queue, row.resolution, right, escape(row.note), state)
    out.print(table if rows else "no case is golden yet: portcullis quality golden add ITEM")


@known.command()
def retire(case: Annotated[str, typer.Argument(help="The golden case's id.")]) -> None:
    """Hand a golden case out no more; what was judged of it stays counted."""
    _in_transaction(lambda conn: golden.retire(conn, _uuid("golden", case), getpass.getuser()))
    out.print(f"[bold]{escape(case)}[/] is retired")


async def _read(conn: Connection, days: int) -> tuple[list[Pair], list[Work]]:
    age = timedelta(days=days)
    return await quality.pairs(conn, age, [False]), await quality.work(conn, age, [False])


def _agreement(found: Agreement) -> tuple[str, str, str]:
    share = "–" if found.share is None else f"{found.share:.0%}"
    return str(found.pairs), share, "–" if found.kappa is None else f"{found.kappa:.2f}"


def _uuid(field: str, text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise InvalidInput(field, "must be a UUID") from None


def _in_transaction(work: Callable[[Connection], Awaitable[Answer]]) -> Answer:
    async def run() -> Answer:
        async with single_transaction(HouseSettings().database()) as conn:
            return await work(conn)

    with told_plainly():
        return asyncio.run(run())
