"""`portcullis review`: the analysts' desk on a terminal."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from portcullis.cli import claims
from portcullis.cli.output import out, show_reasons
from portcullis.review import ReviewClient
from portcullis.v1.checks_pb2 import Stage
from portcullis.v1.review_pb2 import ItemState, Resolution, ReviewItem

app = typer.Typer(
    help="Look at doubtful cases and decide them, as the analyst of this machine's profile.", no_args_is_help=True
)

# One line an item, never cut, so that an id can be copied and a pipe can be searched.
TITLES = ("item", "queue", "priority", "state", "stage", "since (UTC)", "categories")
LINE = "{:36}  {:8} {:8} {:8} {:6}  {:16}  {}"
Item = Annotated[str, typer.Argument(help="The item's id.")]
Queue = Annotated[str, typer.Option(help="Only this queue; empty for all.")]


class State(StrEnum):
    """Which items to list."""

    ANY = "any"
    PENDING = "pending"
    QUEUED = "queued"
    CLAIMED = "claimed"
    DECIDED = "decided"


class Choice(StrEnum):
    """What a person can decide."""

    RELEASE = "release"
    UPHOLD = "uphold"


@app.command("list")
def list_items(
    queue: Queue = "", state: Annotated[State, typer.Option(help="Only items in this state.")] = State.QUEUED
) -> None:
    """List the items, first to look at first.

    Example: portcullis review list --state any
    """
    wanted = ItemState.ITEM_STATE_UNSPECIFIED if state is State.ANY else ItemState.Value(f"ITEM_STATE_{state.name}")
    shown = 0
    with ReviewClient() as desk:
        for shown, item in enumerate(desk.list_items(queue=queue, state=wanted), start=1):
            if shown == 1:
                out.print(LINE.format(*TITLES), style="bold")
            out.print(escape(_line(item)))
    if not shown:
        out.print("nothing waits")


@app.command()
def claim(
    item: Annotated[str, typer.Argument(help="The item's id; empty for the next one.")] = "",
    queue: Queue = "",
    save: Annotated[Path | None, typer.Option(file_okay=False, help="Folder for the case's pictures.")] = None,
) -> None:
    """Take an item on lease and see what it is about.

    Example: portcullis review claim --save case/
    """
    with ReviewClient() as desk:
        answer = desk.claim_item(item, queue=queue)
    claims.keep(answer.item.item_id, answer.claim_token)
    out.print(f"[bold]{answer.item.item_id}[/] is yours until {answer.item.claim_expires_at.ToDatetime():%H:%M:%S} UTC")
    out.print(f"  {_stage(answer.item)} of account {escape(answer.item.account)} at {escape(answer.item.tenant)}")
    show_reasons(answer.item.reasons, answer.content.prompt, answer.content.negative_prompt)
    if answer.content.prompt:
        out.print(f"  prompt: {escape(answer.content.prompt)}")
    if answer.content.negative_prompt:
        out.print(f"  not to be shown: {escape(answer.content.negative_prompt)}")
    for statement in answer.content.statements:
        out.print(f"  they say: {escape(statement)}")
    if save is not None:
        _save(save, answer.item.item_id, {"image": answer.content.image, "mask": answer.content.mask})
    out.print(f"Decide with: portcullis review decide {answer.item.item_id} release|uphold", style="dim")


@app.command()
def decide(
    item: Item,
    choice: Annotated[Choice, typer.Argument(help="release: it is fine; uphold: it stays refused.")],
    comment: Annotated[str, typer.Option(help="Why, up to 2,000 characters.")] = "",
) -> None:
    """Decide a claimed item.

    Example: portcullis review decide 3f0c… release --comment "a toy, not a weapon"
    """
    resolution = Resolution.Value(f"RESOLUTION_{choice.name}")
    with ReviewClient() as desk:
        decided = desk.decide_item(item, claims.token_of(item), resolution, comment)
    claims.drop(item)
    out.print(f"[bold green]decided[/] {decided.item_id}: {choice.value}, by {escape(decided.decided_by)}")


@app.command()
def release(item: Item, reason: Annotated[str, typer.Option(help="Why, up to 2,000 characters.")] = "") -> None:
    """Give a claimed item back, undecided.

    Example: portcullis review release 3f0c… --reason "not my language"
    """
    with ReviewClient() as desk:
        desk.release_claim(item, claims.token_of(item), reason)
    claims.drop(item)
    out.print(f"[bold]{item}[/] waits again")


def _line(item: ReviewItem) -> str:
    return LINE.format(
        item.item_id,
        item.queue,
        item.priority,
        ItemState.Name(item.state).removeprefix("ITEM_STATE_").lower(),
        _stage(item),
        f"{item.created_at.ToDatetime():%Y-%m-%d %H:%M}",
        ", ".join(sorted({reason.category for reason in item.reasons})),
    )


def _stage(item: ReviewItem) -> str:
    return Stage.Name(item.stage).removeprefix("STAGE_").lower()


def _save(folder: Path, item: str, pictures: dict[str, bytes]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in pictures.items():
        if data:
            path = folder / f"{item[:8]}-{name}.png"
            path.write_bytes(data)
            out.print(f"  [bold green]saved[/] {escape(str(path))}")
