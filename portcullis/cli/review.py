"""`portcullis review`: the analysts' desk on a terminal."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from portcullis.cli import claims
from portcullis.cli.output import out, show_reasons, strange
from portcullis.review import ReviewClient
from portcullis.v1.checks_pb2 import Stage
from portcullis.v1.review_pb2 import ItemKind, ItemState, Resolution, ReviewItem

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


Choose = Annotated[Choice, typer.Argument(help="release: it is fine; uphold: it stays refused.")]


class Kind(StrEnum):
    """What brought an item here."""

    ANY = "any"
    CONTENT = "content"
    REPORT = "report"
    APPEAL = "appeal"
    SUSPENSION = "suspension"


@app.command("list")
def list_items(
    queue: Queue = "",
    state: Annotated[State, typer.Option(help="Only items in this state.")] = State.QUEUED,
    kind: Annotated[Kind, typer.Option(help="Only items that this brought here.")] = Kind.ANY,
) -> None:
    """List the items, first to look at first.

    Example: portcullis review list --state any --kind appeal
    """
    wanted = ItemState.ITEM_STATE_UNSPECIFIED if state is State.ANY else ItemState.Value(f"ITEM_STATE_{state.name}")
    sort = ItemKind.ITEM_KIND_UNSPECIFIED if kind is Kind.ANY else ItemKind.Value(f"ITEM_KIND_{kind.name}")
    shown = 0
    with ReviewClient() as desk:
        for shown, item in enumerate(desk.list_items(queue=queue, state=wanted, kind=sort), start=1):
            if shown == 1:
                out.print(LINE.format(*TITLES), style="bold")
            out.print(escape(_line(item)))
    if not shown:
        out.print("nothing waits")


@app.command()
def watch(
    queue: Queue = "",
    cursor: Annotated[int, typer.Option(min=0, help="Go on after this cursor; 0: from now on.")] = 0,
) -> None:
    """Show what happens to items as it happens, a line each with its cursor first; Ctrl-C ends it.

    Example: portcullis review watch --queue default
    """
    out.print(f"{'cursor':<20} {'event':<8} {LINE.format(*TITLES)}", style="bold")
    with ReviewClient() as desk, suppress(KeyboardInterrupt):
        for change in desk.watch_items(queue=queue, cursor=cursor):
            line = _line(change.item) if change.HasField("item") else ""
            out.print(escape(f"{change.cursor:<20} {change.event:<8} {line}"))


@app.command()
def show(item: Item) -> None:
    """Show an item with its comments and its case, without its content.

    Example: portcullis review show 3f0c…
    """
    with ReviewClient() as desk:
        answer = desk.get_item(item)
    found = answer.item
    out.print(f"[bold]{found.item_id}[/] {_state(found)} in queue {escape(found.queue or '–')}, {_kind(found)}")
    out.print(f"  {_stage(found)} of account {escape(found.account)} at {escape(found.tenant)}")
    out.print(f"  recorded {found.created_at.ToDatetime():%Y-%m-%d %H:%M} UTC, priority {found.priority}")
    if found.HasField("due_at"):
        out.print(f"  due {found.due_at.ToDatetime():%Y-%m-%d %H:%M} UTC")
    if found.claimed_by:
        out.print(f"  with {escape(found.claimed_by)} until {found.claim_expires_at.ToDatetime():%H:%M:%S} UTC")
    if found.decided_by:
        out.print(f"  {_resolution(found)} by {escape(found.decided_by)}, decision {found.batch_id}")
    show_reasons(found.reasons, "", "")
    for comment in answer.comments:
        when = f"{comment.created_at.ToDatetime():%Y-%m-%d %H:%M}"
        out.print(f"  {when} {escape(comment.author)}: {strange(comment.text)}")
    if answer.case_items:
        out.print(f"  a case of {found.case_size} near-duplicates, led by {found.case_head or found.item_id}:")
    for other in answer.case_items:
        out.print(f"    {escape(_line(other))}")


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
        out.print(f"  prompt: {strange(answer.content.prompt)}")
    if answer.content.negative_prompt:
        out.print(f"  not to be shown: {strange(answer.content.negative_prompt)}")
    for statement in answer.content.statements:
        out.print(f"  they say: {strange(statement)}")
    if save is not None:
        _save(save, answer.item.item_id, {"image": answer.content.image, "mask": answer.content.mask})
    out.print(f"Decide with: portcullis review decide {answer.item.item_id} release|uphold", style="dim")


@app.command()
def renew(item: Item) -> None:
    """Keep a claimed item longer.

    Example: portcullis review renew 3f0c…
    """
    with ReviewClient() as desk:
        until = desk.renew_claim(item, claims.token_of(item))
    out.print(f"[bold]{item}[/] is yours until {until:%H:%M:%S} UTC")


@app.command()
def decide(
    item: Item,
    choice: Choose,
    comment: Annotated[str, typer.Option(help="Why, up to 2,000 characters.")] = "",
    also: Annotated[
        list[str] | None, typer.Option(help="Another item of the same case that this is for too; may be repeated.")
    ] = None,
) -> None:
    """Decide a claimed item.

    Example: portcullis review decide 3f0c… release --comment "a toy, not a weapon"
    """
    with ReviewClient() as desk:
        decided = desk.decide_item(item, claims.token_of(item), _chosen(choice), comment, also=also or ())
    claims.drop(item)
    if decided.state == ItemState.ITEM_STATE_DECIDED:
        out.print(f"[bold green]decided[/] {decided.item_id}: {choice.value}, by {escape(decided.decided_by)}")
    else:
        out.print(f"[bold green]noted[/] {decided.item_id}: {choice.value}; another person looks at it too")
    out.print(f"Take it back with: portcullis review undo {decided.batch_id}", style="dim")


@app.command("decide-many")
def decide_many(
    choice: Choose,
    items: Annotated[list[str], typer.Argument(help="The items' ids, up to 500.")],
    comment: Annotated[str, typer.Option(help="Why, 1 to 2,000 characters.")],
    yes: Annotated[bool, typer.Option("--yes", help="Decide without asking.")] = False,
) -> None:
    """Decide many items at once, after a look at what it would meet. For seniors and leads.

    Example: portcullis review decide-many uphold 3f0c… 8a11… --comment "one spam wave"
    """
    with ReviewClient() as desk:
        preview = desk.preview_decisions(items)
        for item in preview.items:
            out.print(escape(_line(item)))
        _left_out(preview.left_out, "is left as it is")
        if not preview.items or not (yes or typer.confirm(f"{choice.value} these {len(preview.items)}?")):
            raise typer.Exit(1)
        done = desk.decide_items(preview.preview_token, _chosen(choice), comment)
    _left_out(done.left_out, "has moved since, and is left as it is")
    again = sum(item.state != ItemState.ITEM_STATE_DECIDED for item in done.items)
    looks = f"; another person looks at {again} of them too" if again else ""
    out.print(f"[bold green]decided[/] {len(done.items)}: {choice.value}{looks}")
    out.print(f"Take it back with: portcullis review undo {done.batch_id}", style="dim")


@app.command()
def undo(decision: Annotated[str, typer.Argument(help="The decision's id, as `decide` printed it.")]) -> None:
    """Take back one's own decision before it takes effect.

    Example: portcullis review undo 77c2…
    """
    with ReviewClient() as desk:
        items = desk.undo_decision(decision)
    for item in items:
        out.print(f"[bold]{item.item_id}[/] waits again")


@app.command()
def comment(item: Item, text: Annotated[str, typer.Argument(help="The comment, 1 to 2,000 characters.")]) -> None:
    """Add a comment to an item; it never changes.

    Example: portcullis review comment 3f0c… "seen on two other accounts"
    """
    with ReviewClient() as desk:
        added = desk.comment_item(item, text)
    out.print(f"[bold green]kept[/] as {escape(added.author)}")


@app.command()
def skip(item: Item, reason: Annotated[str, typer.Option(help="Why, 1 to 2,000 characters.")]) -> None:
    """Give a claimed item back for somebody else; it is not offered here again.

    Example: portcullis review skip 3f0c… --reason "I know this person"
    """
    with ReviewClient() as desk:
        desk.skip_item(item, claims.token_of(item), reason)
    claims.drop(item)
    out.print(f"[bold]{item}[/] waits for somebody else")


@app.command()
def release(item: Item, reason: Annotated[str, typer.Option(help="Why, up to 2,000 characters.")] = "") -> None:
    """Give a claimed item back, undecided.

    Example: portcullis review release 3f0c… --reason "not my language"
    """
    with ReviewClient() as desk:
        desk.release_claim(item, claims.token_of(item), reason)
    claims.drop(item)
    out.print(f"[bold]{item}[/] waits again")


def _chosen(choice: Choice) -> Resolution.ValueType:
    return Resolution.Value(f"RESOLUTION_{choice.name}")


def _left_out(items: Iterable[str], why: str) -> None:
    for item in items:
        out.print(f"{escape(item)} {why}", style="yellow")


def _line(item: ReviewItem) -> str:
    return LINE.format(
        item.item_id,
        item.queue,
        item.priority,
        _state(item),
        _stage(item),
        f"{item.created_at.ToDatetime():%Y-%m-%d %H:%M}",
        ", ".join(sorted({reason.category for reason in item.reasons})),
    )


def _state(item: ReviewItem) -> str:
    return ItemState.Name(item.state).removeprefix("ITEM_STATE_").lower()


def _kind(item: ReviewItem) -> str:
    return ItemKind.Name(item.kind).removeprefix("ITEM_KIND_").lower()


def _resolution(item: ReviewItem) -> str:
    return Resolution.Name(item.resolution).removeprefix("RESOLUTION_").lower()


def _stage(item: ReviewItem) -> str:
    return Stage.Name(item.stage).removeprefix("STAGE_").lower()


def _save(folder: Path, item: str, pictures: dict[str, bytes]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in pictures.items():
        if data:
            path = folder / f"{item[:8]}-{name}.png"
            path.write_bytes(data)
            out.print(f"  [bold green]saved[/] {escape(str(path))}")
