"""`portcullis models`: candidates for the prompt filter, and which of them is on trial."""

from __future__ import annotations

import asyncio
import getpass
import json
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from portcullis.errors import PortcullisError as ClientError
from services.commands.plain import told_plainly
from services.core.config import HouseSettings
from services.core.store import audit, prompt_models
from services.core.store.database import Connection, single_transaction
from services.core.store.prompt_models import PromptModel

app = typer.Typer(
    help="See candidates for the prompt filter and put one on trial. A policy that names one promotes it.",
    no_args_is_help=True,
)
out = Console(highlight=False)

ModelId = Annotated[str, typer.Argument(help="The model's id, or as much of its beginning as is unique.")]


@app.command("list")
def list_models() -> None:
    """List the candidates, newest first; the one on trial is marked."""
    with told_plainly():
        models, trial = asyncio.run(_list())
    table = Table("model", "made", "by", "")
    for model in models:
        state = "on trial" if model.model_id == trial else ""
        table.add_row(model.model_id[:12], f"{model.made_at:%Y-%m-%d %H:%M}", escape(model.made_by), state)
    out.print(table if models else "no candidate was ever made: `python -m training.prompt_filter.learn`")


@app.command()
def show(model: ModelId) -> None:
    """Show a candidate's figures beside those of the model that was active when it was made, as JSON."""
    with told_plainly():
        found = asyncio.run(_show(model))
    out.print(f"{found.model_id}\nmade {found.made_at:%Y-%m-%d %H:%M} UTC by {escape(found.made_by)}")
    out.print_json(json.dumps(found.figures))


@app.command()
def trial(
    model: Annotated[str, typer.Argument(help="The model's id; leave out with --end.")] = "",
    end: Annotated[bool, typer.Option("--end", help="End the trial that runs.")] = False,
) -> None:
    """Run a candidate in shadow: it judges beside the active model, answers stay as they are, differences are counted.

    Example: portcullis models trial 3f0c9a
    """
    if bool(model) == end:
        raise typer.BadParameter("name a model, or say --end")
    with told_plainly():
        chosen = asyncio.run(_trial(model))
    told = f"{chosen[:12]} is on trial; watch portcullis_shadow_verdicts_total" if chosen else "no model is on trial"
    out.print(told)


async def _list() -> tuple[list[PromptModel], str | None]:
    async with single_transaction(HouseSettings().database()) as conn:
        return await prompt_models.known(conn), await prompt_models.on_trial(conn)


async def _show(start: str) -> PromptModel:
    async with single_transaction(HouseSettings().database()) as conn:
        return await _find(conn, start)


async def _trial(start: str) -> str:
    who = getpass.getuser()
    async with single_transaction(HouseSettings().database()) as conn:
        chosen = (await _find(conn, start)).model_id if start else None
        await prompt_models.put_on_trial(conn, chosen, who)
        await audit.append(conn, who, "model.trial", chosen or "none")
    return chosen or ""


async def _find(conn: Connection, start: str) -> PromptModel:
    found = [model for model in await prompt_models.known(conn) if model.model_id.startswith(start.lower())]
    if len(found) != 1:
        which = "no model begins" if not found else f"{len(found)} models begin"
        raise ClientError(f"{which} with {start}: `portcullis models list`", code="NOT_FOUND", reason="MODEL_UNKNOWN")
    return found[0]
