"""`portcullis banks`: the words and names that the prompt filter looks for beside its own."""

from __future__ import annotations

import asyncio
import csv
import getpass
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table

from services.commands.plain import told_plainly
from services.core.config import HouseSettings
from services.core.errors import NotFound
from services.core.store import people, terms
from services.core.store.database import single_transaction
from services.core.store.terms import Bank, Difference, Term
from services.prompt_filter.bank_file import COLUMNS, BankFileError, read_bank_file
from services.prompt_filter.fuzzy import everyday
from services.prompt_filter.people_file import PeopleFile, read_people_file
from services.prompt_filter.word_lists import lists

HELP = """See and change the banks of words and names that the prompt filter looks for.

A tenant's terms hold for this tenant alone, people for everybody. Running filters follow within a second; hundreds of
thousands of people take some seconds. Every change is recorded with who made it.

  portcullis banks import brand.csv --tenant demo --bank brand --dry-run
  portcullis banks import-people politicians.json --bank politicians
"""

app = typer.Typer(help=HELP, no_args_is_help=True, rich_markup_mode="markdown")
out = Console(highlight=False)

Name = Annotated[str, typer.Argument(help="The bank's name.")]
InBank = Annotated[str, typer.Option("--bank", help="The bank's name: a-z, 0-9 and -.")]
Tenant = Annotated[str, typer.Option("--tenant", help="Whose terms; without it, a bank of people.")]
OfTenant = Annotated[str, typer.Option("--tenant", help="Whose terms they are.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only tell what would change.")]
By = Annotated[str, typer.Option("--by", help="Who answers for it; recorded. You, if left out.")]
Source = Annotated[Path, typer.Argument(exists=True, dir_okay=False, readable=True, help="What to read.")]


@app.command("list")
def list_banks() -> None:
    """List every bank: whose it is, how much is in it, who changed it last."""
    with told_plainly():
        found = asyncio.run(_list())
    table = Table("bank", "tenant", "entries", "changed by", "at (UTC)")
    for bank in found:
        at = f"{bank.changed_at:%Y-%m-%d %H:%M}"
        table.add_row(bank.bank, bank.tenant or "everybody (people)", f"{bank.entries:,}", escape(bank.changed_by), at)
    out.print(table)


@app.command()
def show(
    bank: Name,
    tenant: Tenant = "",
    like: Annotated[str, typer.Option(help="Only entries that contain this.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="At most so many.")] = 50,
) -> None:
    """Show what is in a bank.

    Examples: portcullis banks show brand --tenant demo; portcullis banks show politicians --like merkel
    """
    with told_plainly():
        if tenant:
            rows = [row for row in asyncio.run(_terms(tenant, bank)) if like.lower() in row.term.lower()]
            _print(_term_table(rows[:limit]), len(rows) - limit)
        else:
            persons = asyncio.run(_people(bank, like, limit))
            table = Table("id", "name", "other names", "died", "score")
            for who in persons:
                others = ", ".join(who.aliases)
                table.add_row(who.entry, escape(who.name), escape(others), str(who.died or ""), f"{who.score:g}")
            _print(table, 0)


@app.command("import")
def import_terms(file: Source, tenant: OfTenant, bank: InBank, dry_run: DryRun = False, by: By = "") -> None:
    """Make a CSV or YAML file all that a tenant's bank holds. One mistake, and nothing is written.

    CSV: a line of column names, then one term a line. Columns: term (needed), kind, category, score, distance, near,
    not_near, within.

    - **exact** (the kind if left out): whole words, case and accents do not matter. `acme bomb,exact,violence,0.9`

    - **fuzzy**: misspelled by up to `distance` (1 or 2) letters too.

    - **re2**: a pattern in RE2's language, whole words. Other engines are not offered, so that no pattern can stall.

    - **exception**: a phrase in which terms mean something else: `acme bath bomb,exception`

    With `near` (words, | between) one of these must stand `within` so many words (5); with `not_near`, none.
    """
    with told_plainly():
        try:
            wanted = read_bank_file(file)
        except BankFileError as error:
            for problem in error.problems:
                typer.echo(problem.render(error.source), err=True)
            raise typer.Exit(1) from None
        difference = asyncio.run(_replace(tenant, bank, wanted, by or getpass.getuser(), dry_run))
    _summary(f"{bank} of {tenant}", difference, dry_run)


@app.command("import-people")
def import_people(file: Source, bank: InBank, dry_run: DryRun = False, by: By = "") -> None:
    """Make people from a Wikidata query result all that a bank of people holds. They are looked for at every tenant.

    FILE is what query.wikidata.org downloads as CSV or JSON, with the columns item, itemLabel, and where there are any
    aliases (| between), dateOfDeath and sitelinks; docs/banks.md has the query. Who is in 25 Wikipedias or more is
    refused by name (score 0.95), everybody else goes to a person (0.5). Who died more than 70 years ago is history.
    """
    with told_plainly():
        read = _read_people(file)
        rows = read.people.values()
        difference = asyncio.run(_replace_people(bank, rows, by or getpass.getuser(), dry_run))
    for reason, count in read.left_out.most_common():
        if count:
            out.print(f"left out {count:,} {reason}")
    _summary(bank, difference, dry_run)


@app.command()
def remove(bank: Name, tenant: Tenant = "", by: By = "") -> None:
    """Remove a bank with all that is in it."""
    with told_plainly():
        count = asyncio.run(_remove(tenant, bank, by or getpass.getuser()))
    out.print(f"[green]removed[/] {escape(bank)} with {count:,} entries")


@app.command()
def export(bank: Name, tenant: OfTenant) -> None:
    """Write a tenant's bank to standard output as CSV, as `import` reads it.

    Example: portcullis banks export brand --tenant demo > brand.csv
    """
    with told_plainly():
        rows = asyncio.run(_terms(tenant, bank))
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in rows:
        writer.writerow(_cells(row))


async def _list() -> list[Bank]:
    async with single_transaction(HouseSettings().database()) as conn:
        return await terms.banks(conn)


async def _terms(tenant: str, bank: str) -> list[Term]:
    async with single_transaction(HouseSettings().database()) as conn:
        if (tenant, bank) not in await terms.versions(conn):
            raise NotFound(f"the tenant {tenant!r} has no bank {bank!r}", reason="BANK_UNKNOWN")
        return await terms.load(conn, tenant, bank)


async def _people(bank: str, like: str, limit: int) -> list[people.PersonRow]:
    async with single_transaction(HouseSettings().database()) as conn:
        if bank not in await people.versions(conn):
            raise NotFound(f"there is no bank of people {bank!r}; terms need --tenant", reason="BANK_UNKNOWN")
        return await people.load(conn, bank, like, limit)


async def _replace(tenant: str, bank: str, wanted: list[Term], who: str, dry_run: bool) -> Difference:
    async with single_transaction(HouseSettings().database()) as conn:
        difference = await terms.replace(conn, tenant, bank, wanted, who)
        if dry_run:
            await conn.rollback()
    return difference


async def _replace_people(bank: str, rows: Iterable[people.PersonRow], who: str, dry_run: bool) -> Difference:
    async with single_transaction(HouseSettings().database()) as conn:
        difference = await people.replace(conn, bank, rows, who)
        if dry_run:
            await conn.rollback()
    return difference


async def _remove(tenant: str, bank: str, who: str) -> int:
    async with single_transaction(HouseSettings().database()) as conn:
        if tenant:
            return await terms.remove(conn, tenant, bank, who)
        return await people.remove(conn, bank, who)


def _read_people(file: Path) -> PeopleFile:
    known = lists()["first"] | lists()["surname"]
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task(file.name, total=file.stat().st_size)
        read = read_people_file(
            file, lambda word: word in known or everyday(word), lambda at: progress.update(task, completed=at)
        )
        progress.update(task, completed=file.stat().st_size)
    return read


def _summary(what: str, difference: Difference, dry_run: bool) -> None:
    table = Table("added", "changed", "removed", "as before", title=escape(what))
    table.add_row(*(f"{n:,}" for n in (difference.added, difference.changed, difference.removed, difference.same)))
    out.print(table)
    out.print("[yellow]nothing was written (--dry-run)[/]" if dry_run else "[green]in force[/] within a second")


def _term_table(rows: list[Term]) -> Table:
    table = Table(*COLUMNS)
    for row in rows:
        table.add_row(*map(escape, _cells(row)))
    return table


def _cells(row: Term) -> list[str]:
    """A term as a line of CSV."""
    score, distance = f"{row.score:g}" if row.category else "", str(row.distance or "")
    near, not_near = "|".join(row.near), "|".join(row.not_near)
    return [row.term, row.kind, row.category, score, distance, near, not_near, str(row.within)]


def _print(table: Table, more: int) -> None:
    out.print(table)
    if more > 0:
        out.print(f"… and {more:,} more (--limit)")
