"""`portcullis learning`: what people's decisions say about the filters and their thresholds."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import date, datetime, timedelta
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from services.commands.plain import told_plainly
from services.core.config import HouseSettings
from services.core.errors import FailedPrecondition
from services.core.policy.document import Policy
from services.core.store import lessons, policies
from services.core.store.database import single_transaction
from services.core.store.lessons import Label
from services.review import weekly as reports
from services.review.thresholds import FAULT, FEWEST, Wanted, wanted

app = typer.Typer(help="What people's decisions say about the filters and their thresholds.", no_args_is_help=True)
out = Console(highlight=False)

Days = Annotated[int, typer.Option(min=1, max=365, help="How many days back.")]


@app.command()
def report(
    days: Days = 7,
    week: Annotated[
        datetime | None,
        typer.Option(formats=["%Y-%m-%d"], help="The report kept for this Monday's week."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """Show, category by category, which thresholds the decisions of the last days would have wanted.

    The review room keeps such a report for every week.

    Examples: portcullis learning report --days 30 · portcullis learning report --week 2026-11-23
    """
    with told_plainly():
        rows = asyncio.run(_kept(week.date()) if week else _wanted(days))
    if as_json:
        out.print_json(json.dumps([asdict(row) for row in rows]))
        return
    table = Table("category", "stage", "decided", "upheld", "appeals granted", "review", "wanted", "block", "wanted")
    for row in rows:
        table.add_row(
            row.category,
            row.stage,
            str(row.decided),
            f"{row.upheld / row.decided:.0%}",
            f"{row.granted} of {row.appealed}",
            _number(row.review_now),
            _number(row.review),
            _number(row.block_now),
            _number(row.block),
        )
    out.print(table if rows else "nobody decided anything in that time")
    out.print(
        f"wanted: at most {FAULT:.0%} of at least {FEWEST} decisions say otherwise on its side; below `review` nobody "
        "looked, so nothing here asks for a lower one",
        style="dim",
    )


@app.command()
def labels(days: Days = 30) -> None:
    """Print a labelled row for each score that people settled, as JSON lines without content, for the filters' labs.

    Needs a policy with `learning: true`. The content of a row is evidence of its item, which needs its key.

    Example: portcullis learning labels --days 90 > labels.jsonl
    """
    with told_plainly():
        rows, policy = asyncio.run(_read(days))
        if not policy.document.learning:
            raise FailedPrecondition(
                "the policy in force does not say `learning: true`; nothing may be learned", reason="LEARNING_OFF"
            )
    for row in rows:
        out.print(json.dumps(asdict(row), default=str), soft_wrap=True, markup=False)


async def _wanted(days: int) -> Sequence[Wanted]:
    rows, policy = await _read(days)
    return wanted(rows, policy)


async def _kept(week: date) -> Sequence[Wanted]:
    async with single_transaction(HouseSettings().database()) as conn:
        return await reports.get(conn, week)


async def _read(days: int) -> tuple[list[Label], Policy]:
    async with single_transaction(HouseSettings().database()) as conn:
        return await lessons.labels(conn, timedelta(days=days)), await policies.load_active(conn)


def _number(value: float | None) -> str:
    return "–" if value is None else "never" if value > 1 else f"{value:.2f}"
