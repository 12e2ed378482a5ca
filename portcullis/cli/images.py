"""`portcullis create`, `edit`, `vary` and `resume`: pictures into a folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated
from uuid import uuid4

import typer
from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from portcullis.calls import Event
from portcullis.cli.arguments import DEFAULT_ACCOUNT, Account, FileFormat, Mask, Negative, Picture
from portcullis.cli.output import REFUSED, err, out, show_reasons
from portcullis.client import Client
from portcullis.v1 import gateway_pb2
from portcullis.v1.checks_pb2 import ImageFormat, Stage

MAX_SEED = 2**53 - 5  # the contract's: a picture's seed stays exact in JSON, the last one's too
Prompt = Annotated[str, typer.Argument(help="What to draw, 1 … 4,000 characters.")]
Out = Annotated[Path, typer.Option("--out", "-o", file_okay=False, help="Folder for the pictures; made if missing.")]
Seed = Annotated[int | None, typer.Option(min=0, max=MAX_SEED, help="Seed of the first picture; random if unset.")]
Steps = Annotated[int, typer.Option(min=0, max=100, help="Denoising steps; 0 for the model's default.")]
Format = Annotated[FileFormat, typer.Option("--format", help="How the pictures are encoded.")]
_SUFFIXES = {
    ImageFormat.IMAGE_FORMAT_PNG: ".png",
    ImageFormat.IMAGE_FORMAT_JPEG: ".jpg",
    ImageFormat.IMAGE_FORMAT_WEBP: ".webp",
}


def create(
    prompt: Prompt,
    folder: Out,
    negative: Negative = "",
    count: Annotated[int, typer.Option(min=1, max=4, help="Pictures wanted.")] = 4,
    seed: Seed = None,
    size: Annotated[int, typer.Option(min=0, help="Side in pixels; 0 for the model's own.")] = 0,
    steps: Steps = 0,
    image_format: Format = FileFormat.PNG,
    account: Account = DEFAULT_ACCOUNT,
) -> None:
    """Make pictures of a text, checked, signed and registered.

    Example: portcullis create "a yellow sun above a red house in a meadow" -o out/ --count 2
    """
    with Client() as client:
        events = client.create_images(
            prompt,
            negative_prompt=negative,
            account=account,
            count=count,
            size=size,
            steps=steps,
            format=image_format.proto(),
            seed=seed,
        )
        raise typer.Exit(watch(events, folder, prompt, negative))


def edit(
    prompt: Prompt,
    image: Picture,
    mask: Mask,
    folder: Out,
    negative: Negative = "",
    count: Annotated[int, typer.Option(min=1, max=3, help="Pictures wanted.")] = 3,
    seed: Seed = None,
    steps: Steps = 0,
    image_format: Format = FileFormat.PNG,
    account: Account = DEFAULT_ACCOUNT,
) -> None:
    """Change the masked part of a picture as a text says.

    Example: portcullis edit "a green triangle" scene.png --mask mask.png -o out/
    """
    with Client() as client:
        events = client.edit_images(
            prompt,
            image.read_bytes(),
            mask.read_bytes(),
            negative_prompt=negative,
            account=account,
            count=count,
            steps=steps,
            format=image_format.proto(),
            seed=seed,
        )
        raise typer.Exit(watch(events, folder, prompt, negative))


def vary(
    image: Picture,
    folder: Out,
    count: Annotated[int, typer.Option(min=1, max=3, help="Pictures wanted.")] = 3,
    seed: Seed = None,
    steps: Steps = 0,
    image_format: Format = FileFormat.PNG,
    account: Account = DEFAULT_ACCOUNT,
) -> None:
    """Make pictures like a picture.

    Example: portcullis vary scene.png -o out/
    """
    with Client() as client:
        events = client.vary_images(
            image.read_bytes(), account=account, count=count, steps=steps, format=image_format.proto(), seed=seed
        )
        raise typer.Exit(watch(events, folder))


def resume(
    decision: Annotated[str, typer.Argument(help="The held decision, as the call that was held named it.")],
    folder: Out,
) -> None:
    """Carry on a request that was held, once people have released it.

    Example: portcullis resume 3f0c… -o out/
    """
    with Client() as client:
        raise typer.Exit(watch(client.resume_decision(decision), folder))


def watch(events: Iterator[Event], folder: Path, prompt: str = "", negative: str = "") -> int:
    """Shows a creating call as it runs and saves its pictures; returns the exit code."""
    folder.mkdir(parents=True, exist_ok=True)
    # Named after the call, so that a second one into the same folder overwrites nothing.
    call = uuid4().hex[:8]
    released = 0
    with _progress() as progress:
        task = progress.add_task("asking", total=None)
        for event in events:
            match event:
                case gateway_pb2.Accepted():
                    call = event.decision_id[:8]
                    progress.console.print(f"decision {event.decision_id}", style="dim")
                case gateway_pb2.Progress():
                    _advance(progress, task, event)
                case gateway_pb2.Image():
                    released += 1
                    _save(event, folder / f"{call}-{event.index}{_SUFFIXES.get(event.format, '.png')}")
                case gateway_pb2.Refused():
                    out.print(f"[bold red]REFUSED[/] at the {_place(event)}")
                    show_reasons(event.reasons, prompt, negative)
                case gateway_pb2.Held():
                    out.print(f"[bold yellow]HELD[/] at the {_place(event)} for a person: {event.review_item_id}")
                    show_reasons(event.reasons, prompt, negative)
                case gateway_pb2.Done():
                    out.print(f"{event.images} released, {event.refused} refused or held", style="dim")
    return 0 if released else REFUSED


def _progress() -> Progress:
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    return Progress(*columns, console=err, transient=True)


def _advance(progress: Progress, task: TaskID, event: gateway_pb2.Progress) -> None:
    waiting = f" ({event.queue_position} ahead)" if event.queue_position else ""
    progress.update(task, description=event.stage + waiting, completed=event.step, total=event.steps or None)


def _save(image: gateway_pb2.Image, path: Path) -> None:
    path.write_bytes(image.data)
    out.print(f"[bold green]saved[/] {escape(str(path))} [dim]seed {image.seed}, id {image.provenance.image_id}[/]")
    if image.revised_prompt:
        out.print(f"  drawn from: {escape(image.revised_prompt)}", style="yellow")
    for word in image.substitutions:
        out.print(f"  drawn instead: {escape(word)}", style="yellow")


def _place(event: gateway_pb2.Refused | gateway_pb2.Held) -> str:
    stage = Stage.Name(event.stage).removeprefix("STAGE_").lower()
    return f"{stage} {event.index}" if event.stage == Stage.STAGE_OUTPUT else stage
