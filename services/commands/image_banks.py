"""`portcullis image-banks`: the known images that pictures are compared with."""

from __future__ import annotations

import asyncio
import getpass
import sys
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table

from services.commands.plain import told_plainly
from services.commands.scan_rows import files
from services.core.clearance import digest
from services.core.config import HouseSettings
from services.core.errors import InvalidInput
from services.core.imaging import Rgb, sanitise
from services.core.store import bank_index
from services.core.store import banks as store
from services.core.store.banks import OPINIONS, BankEntry, EntryRow, Opinion, Replacing
from services.core.store.database import Connection, Database, single_transaction
from services.core.store.terms import Difference
from services.image_filter import exchange
from services.image_filter.bank_file import Format, read_bank_file, write_bank_file
from services.image_filter.banks import Banks
from services.image_filter.hashes import entry_of

HELP = """See and change the banks of known images.

A bank without --tenant is the house's: every tenant's pictures are compared with it. Running filters follow within
seconds. Every change is recorded with who made it. Pictures are hashed here; only hashes are kept.

  portcullis image-banks add folder/ --bank leaked --label case-17 --dry-run
  portcullis image-banks import hashes.csv --bank partner --tenant demo
  portcullis image-banks find picture.jpg
"""

app = typer.Typer(help=HELP, no_args_is_help=True, rich_markup_mode="markdown")
exchanges = typer.Typer(help="Known images from those who share them.", no_args_is_help=True)
app.add_typer(exchanges, name="exchange")
out = Console(highlight=False)
err = Console(highlight=False, stderr=True)

COLUMNS = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())

Name = Annotated[str, typer.Argument(help="The bank's name.")]
InBank = Annotated[str, typer.Option("--bank", help="The bank's name: a-z, 0-9 and -.")]
Tenant = Annotated[str, typer.Option("--tenant", help="Whose bank; without it, the house's, for every tenant.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only tell what would change.")]
By = Annotated[str, typer.Option("--by", help="Who answers for it; recorded. You, if left out.")]
Source = Annotated[Path, typer.Argument(exists=True, dir_okay=False, readable=True, help="What to read.")]
Entry = Annotated[str, typer.Option("--entry", help="One entry, by its id; without it, the whole bank.")]


@app.command("list")
def list_banks() -> None:
    """List every bank: whose it is, how much is in it, how often it matched, who changed it last."""
    with told_plainly():
        found = asyncio.run(_list())
    table = Table("bank", "tenant", "state", "entries", "hashes", "seen", "changed by", "at (UTC)", "description")
    for bank in found:
        counts = (f"{bank.entries:,}", f"{bank.hashes:,}", f"{bank.seen:,}")
        changed = escape(bank.changed_by), _time(bank.changed_at)
        whose = bank.tenant or "everybody"
        table.add_row(bank.bank, whose, _state(bank.enabled), *counts, *changed, escape(bank.description))
    out.print(table)


@app.command()
def show(
    bank: Name,
    tenant: Tenant = "",
    like: Annotated[str, typer.Option(help="Only entries whose id or labels contain this.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="At most so many.")] = 50,
) -> None:
    """Show what is in a bank.

    Example: portcullis image-banks show partner --tenant demo --like case-17
    """
    with told_plainly():
        rows = asyncio.run(_entries(tenant, bank, like, limit + 1))
    table = Table("id", "labels", "opinion", "state", "hashes", "seen", "last (UTC)", "source", "added by", "at (UTC)")
    for row in rows[:limit]:
        labels, kinds = escape(", ".join(row.labels)), ", ".join(row.kinds)
        seen = f"{row.seen:,}", _time(row.last_seen)
        added = escape(row.source), escape(row.added_by), _time(row.added_at)
        table.add_row(escape(row.entry), labels, row.opinion, _state(row.enabled), kinds, *seen, *added)
    out.print(table)
    if len(rows) > limit:
        out.print("… and more (--limit)")


@app.command()
def add(
    pictures: Annotated[list[Path], typer.Argument(exists=True, readable=True, help="Pictures, and folders of them.")],
    bank: InBank,
    tenant: Tenant = "",
    label: Annotated[
        list[str] | None, typer.Option(help="What the pictures are labelled with; may be repeated.")
    ] = None,
    description: Annotated[str, typer.Option(help="What the bank is for.")] = "",
    dry_run: DryRun = False,
    by: By = "",
) -> None:
    """Make pictures known: the whole in all orientations, and what a crop leaves of it.

    An entry's id is the picture's path in its folder; the same id again renews the entry. Too plain pictures are left
    out: their hashes match anything plain. With a picture that cannot be read the exit code is 1; the others are in.

    Example: portcullis image-banks add leaked/ --bank leaked --label case-17
    """
    with told_plainly():
        who, labels = by or getpass.getuser(), tuple(label or ())
        entries, left_out = _hashed(pictures, bank, tenant or None, labels)
        difference = asyncio.run(
            _put(tenant, bank, entries, who, "image_banks.add", "entries", dry_run, "", description)
        )
    _summary(_whose(bank, tenant), difference, dry_run)
    if left_out:
        raise typer.Exit(1)


@app.command("import")
def import_bank(file: Source, bank: InBank, tenant: Tenant = "", dry_run: DryRun = False, by: By = "") -> None:
    """Make a CSV, JSON or TXT file all that a bank holds. One mistake, and nothing is written.

    CSV: a line of column names, then one entry a line. Columns: pdq or phash256 (64 hex digits; one is needed),
    regions (| between), id (else the first hash), labels (| between), opinion, enabled, source.

    JSON: a list of objects with the same keys; signal, category and tags are understood too.

    TXT: "pdq" and 64 hex digits a line, as the file exchange of the threatexchange library has it.

    Opinions: positive_class (the default; score 1), investigation_seed and disputed (0.5: a person looks),
    negative_class (never matches).
    """
    with told_plainly():
        wanted = read_bank_file(file, bank, tenant or None)
        who = by or getpass.getuser()
        difference = asyncio.run(_put(tenant, bank, wanted, who, "image_banks.import", "bank", dry_run))
    _summary(_whose(bank, tenant), difference, dry_run)


@app.command()
def export(
    bank: Name, tenant: Tenant = "", kind: Annotated[Format, typer.Option("--format", help="Of the file.")] = "csv"
) -> None:
    """Write a bank to standard output, as `import` reads it; "threatexchange" holds PDQ hashes only.

    Example: portcullis image-banks export partner --tenant demo > partner.csv
    """
    with told_plainly():
        write_bank_file(asyncio.run(_export(tenant, bank)), kind, sys.stdout)


@app.command()
def enable(bank: Name, tenant: Tenant = "", entry: Entry = "", dry_run: DryRun = False, by: By = "") -> None:
    """Let a bank, or one entry of it, match again."""
    _switch(bank, tenant, entry, True, dry_run, by)


@app.command()
def disable(bank: Name, tenant: Tenant = "", entry: Entry = "", dry_run: DryRun = False, by: By = "") -> None:
    """Keep a bank, or one entry of it, from matching; nothing is removed."""
    _switch(bank, tenant, entry, False, dry_run, by)


@app.command()
def opinion(
    bank: Name,
    opinion: Annotated[Opinion, typer.Argument(help=", ".join(OPINIONS))],
    tenant: Tenant = "",
    entry: Entry = "",
    dry_run: DryRun = False,
    by: By = "",
) -> None:
    """Say what is thought of an entry, or of all in a bank.

    positive_class matches with score 1, investigation_seed and disputed with 0.5, negative_class never.
    """

    async def change(conn: Connection) -> int:
        return await store.judge(conn, tenant or None, bank, entry, opinion, by or getpass.getuser())

    with told_plainly():
        count = asyncio.run(_change(change, dry_run))
    _told(f"{count:,} in {_whose(bank, tenant)}: {opinion}", dry_run)


@app.command()
def remove(bank: Name, tenant: Tenant = "", entry: Entry = "", dry_run: DryRun = False, by: By = "") -> None:
    """Remove an entry, or a bank with all that is in it."""

    async def change(conn: Connection) -> int:
        return await store.remove(conn, tenant or None, bank, entry, by or getpass.getuser())

    with told_plainly():
        count = asyncio.run(_change(change, dry_run))
    _told(f"removed {entry or _whose(bank, tenant)}: {count:,} entries", dry_run)


@app.command()
def find(picture: Source) -> None:
    """Tell which entries of all banks a picture matches, disabled and harmless ones too, and at what distance.

    Nothing is counted. Example: portcullis image-banks find upload.jpg
    """
    with told_plainly():
        pixels = sanitise(picture.read_bytes()).rgb
        found = asyncio.run(_find(pixels))
    table = Table("bank", "tenant", "id", "by", "bits of 256", "opinion", "state", "labels", "source")
    for row, kind, bits in sorted(found, key=lambda match: match[2]):
        state = _state(row.bank_enabled and row.enabled)
        told = row.opinion, state, escape(", ".join(row.labels)), escape(row.source)
        table.add_row(row.bank, row.tenant or "everybody", escape(row.entry), kind, str(bits), *told)
    out.print(table if found else "matches nothing")


@exchanges.command("apis")
def list_apis() -> None:
    """List the exchanges of the threatexchange library and where each takes its credentials from."""
    with told_plainly():
        known = exchange.apis()
    table = Table("api", "credentials (environment)")
    for name, api in sorted(known.items()):
        table.add_row(name, exchange.credentials_variable(api) or "none")
    out.print(table)


@exchanges.command("pull")
def pull(file: Source, bank: InBank, tenant: Tenant = "", dry_run: DryRun = False, by: By = "") -> None:
    """Bring what a bank has from an exchange to what the exchange has now: all of it, PDQ only.

    FILE describes the collaboration in JSON, as the threatexchange command keeps it: {"name": "ours", "api": "ncmec",
    "environment": …}. Entries from elsewhere stay. What your people disabled stays disabled; opinions and labels are
    the exchange's.
    """
    with told_plainly():
        api, config = exchange.collaboration(file)
        who, source = by or getpass.getuser(), exchange.source_of(config)
        with err.status("fetching") as status:

            def fetched(count: int) -> None:
                status.update(f"fetched {count:,} records")

            wanted = list(exchange.pull(api, config, bank, tenant or None, fetched))
        difference = asyncio.run(_put(tenant, bank, wanted, who, "image_banks.pull", "source", dry_run, source))
    _summary(f"{_whose(bank, tenant)} from {source}", difference, dry_run)


async def _list() -> list[store.Bank]:
    async with single_transaction(HouseSettings().database()) as conn:
        return await store.banks(conn)


async def _entries(tenant: str, bank: str, like: str, limit: int) -> list[EntryRow]:
    async with single_transaction(HouseSettings().database()) as conn:
        return await store.entries(conn, tenant or None, bank, like, limit)


async def _export(tenant: str, bank: str) -> list[BankEntry]:
    async with single_transaction(HouseSettings().database()) as conn:
        return await store.export(conn, tenant or None, bank)


async def _put(
    tenant: str,
    bank: str,
    entries: Iterable[BankEntry],
    who: str,
    action: str,
    replacing: Replacing,
    dry_run: bool,
    source: str = "",
    description: str = "",
) -> Difference:
    async with single_transaction(HouseSettings().database()) as conn:
        difference = await store.put(conn, tenant or None, bank, entries, who, action, replacing, source)
        if description:
            await store.describe(conn, tenant or None, bank, description, who)
        if dry_run:
            await conn.rollback()
    return difference


async def _change(change: Callable[[Connection], Awaitable[int]], dry_run: bool) -> int:
    async with single_transaction(HouseSettings().database()) as conn:
        count = await change(conn)
        if dry_run:
            await conn.rollback()
    return count


async def _find(pixels: Rgb) -> list[tuple[EntryRow, str, int]]:
    database = await Database.open(HouseSettings().database(), max_size=1)
    try:
        banks = Banks(await bank_index.load(database, everything=True), "found")
        matches = {int(banks.known.ids[match.place]): match for match in banks.matches(pixels)}
        async with database.transaction() as conn:
            rows = await store.entries_by_id(conn, list(matches))
    finally:
        await database.close()
    return [(row, matches[entry].kind, matches[entry].bits) for entry, row in rows.items()]


def _switch(bank: str, tenant: str, entry: str, enabled: bool, dry_run: bool, by: str) -> None:
    async def change(conn: Connection) -> int:
        await store.enable(conn, tenant or None, bank, entry, enabled, by or getpass.getuser())
        return 1

    with told_plainly():
        asyncio.run(_change(change, dry_run))
    _told(f"{'enabled' if enabled else 'disabled'} {entry or _whose(bank, tenant)}", dry_run)


def _hashed(
    pictures: list[Path], bank: str, tenant: str | None, labels: tuple[str, ...]
) -> tuple[list[BankEntry], int]:
    """Entries of all pictures that can be made known, and how many could not be read; both are told."""
    found = [(path, id_) for given in pictures for path, id_ in _named(given)]
    entries: list[BankEntry] = []
    left_out: Counter[str] = Counter()
    with Progress(*COLUMNS, console=err) as progress:
        for path, id_ in progress.track(found, description=bank):
            try:
                pixels = sanitise(path.read_bytes()).rgb
            except (InvalidInput, OSError) as error:
                left_out["unreadable"] += 1
                err.print(f"[yellow]left out[/] {escape(str(path))}: {escape(str(error))}")
                continue
            try:
                entries.append(entry_of(pixels, bank, id_, tenant, labels, "pictures"))
            except InvalidInput as error:
                left_out["plain"] += 1
                err.print(f"[yellow]left out[/] {escape(str(path))}: {escape(str(error))}")
    for why, count in left_out.items():
        err.print(f"left out {count:,} {why}")
    return entries, left_out["unreadable"]


def _named(given: Path) -> list[tuple[Path, str]]:
    """The files of a folder, or the file itself, each with its entry's id."""
    if given.is_dir():
        return [(path, _id(path.relative_to(given).as_posix())) for path in files(given)]
    return [(given, _id(given.name))]


def _id(name: str) -> str:
    """A name that is too long or not printable gives way to its digest."""
    return name if len(name) <= 128 and name.isprintable() else digest(name.encode("utf-8", "surrogateescape"))


def _summary(what: str, difference: Difference, dry_run: bool) -> None:
    table = Table("added", "changed", "removed", "as before", title=escape(what))
    table.add_row(*(f"{n:,}" for n in (difference.added, difference.changed, difference.removed, difference.same)))
    out.print(table)
    out.print("[yellow]nothing was written (--dry-run)[/]" if dry_run else "[green]in force[/] within seconds")


def _told(what: str, dry_run: bool) -> None:
    out.print(f"[yellow]would be[/] {escape(what)} (--dry-run)" if dry_run else f"[green]done[/] {escape(what)}")


def _whose(bank: str, tenant: str) -> str:
    return f"{bank} of {tenant or 'the house'}"


def _state(enabled: bool) -> str:
    return "on" if enabled else "off"


def _time(at: datetime | None) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M}" if at else ""
