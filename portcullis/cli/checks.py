"""`portcullis check`, `inspect` and `decision`: verdicts without pictures."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import entry_points
from typing import Annotated

import typer
from rich.markup import escape

from portcullis.cli.arguments import DEFAULT_ACCOUNT, Account, Json, Mask, Negative, Picture
from portcullis.cli.extras import missing, pip_command
from portcullis.cli.output import REFUSED, out, show_appeal, show_check, show_json, show_reasons, verdict_markup
from portcullis.client import Client
from portcullis.errors import PortcullisError
from portcullis.v1.checks_pb2 import Verdict
from portcullis.v1.provenance_pb2 import Inspection, Origin

app = typer.Typer(help="Ask for a verdict; nothing is generated.", no_args_is_help=True)

ORIGINS = {
    Origin.ORIGIN_OURS_INTACT: "[bold green]OURS[/], exactly as released",
    Origin.ORIGIN_OURS_ALTERED: "[bold yellow]OURS, ALTERED[/] since it was released",
    Origin.ORIGIN_OURS_DERIVED: "[bold yellow]DERIVED[/] from one of ours",
    Origin.ORIGIN_NOT_FOUND: "[bold]NOT FOUND[/]: no sign that it was made here",
    Origin.ORIGIN_CONFLICT: "[bold red]CONFLICT[/]: its marks contradict each other",
}


@app.command("prompt")
def check_prompt(
    text: Annotated[str, typer.Argument(help="The prompt.")],
    negative: Negative = "",
    account: Account = DEFAULT_ACCOUNT,
    as_json: Json = False,
) -> None:
    """The verdict on a prompt.

    Example: portcullis check prompt "a quiet harbour at dawn"
    """
    with Client() as client:
        answer = client.check_prompt(text, negative_prompt=negative, account=account)
    if as_json:
        show_json(answer)
    else:
        show_check("prompt", answer.check, text, negative)
    _leave(answer.check.verdict)


@app.command("image")
def check_image(image: Picture, account: Account = DEFAULT_ACCOUNT, as_json: Json = False) -> None:
    """The verdict on a picture as an upload.

    Example: portcullis check image photo.jpg
    """
    with Client() as client:
        answer = client.check_upload(image.read_bytes(), account=account)
    if as_json:
        show_json(answer)
    else:
        show_check("upload", answer.check)
    _leave(answer.check.verdict)


@app.command("pair")
def check_pair(
    text: Annotated[str, typer.Argument(help="The prompt.")],
    image: Picture,
    mask: Mask,
    negative: Negative = "",
    account: Account = DEFAULT_ACCOUNT,
    as_json: Json = False,
) -> None:
    """The verdicts on a prompt and a picture, alone and together.

    Example: portcullis check pair "a green triangle" scene.png --mask mask.png
    """
    with Client() as client:
        answer = client.check_pair(
            text, image.read_bytes(), mask.read_bytes(), negative_prompt=negative, account=account
        )
    if as_json:
        show_json(answer)
    else:
        show_check("prompt", answer.prompt, text, negative)
        show_check("upload", answer.upload)
        if answer.HasField("pair"):
            show_check("together", answer.pair, text, negative)
    _leave(answer.verdict)


def inspect(
    image: Picture,
    as_json: Json = False,
    offline: Annotated[
        bool, typer.Option("--offline", help="Ask the registry in this machine's data home; no house need be up.")
    ] = False,
) -> None:
    """Say whether a picture was made here, what each layer says of it, and where it was changed.

    Example: portcullis inspect out/1f2e3d4c-0.png
    """
    if offline:
        inspection = _own_registry()(image.read_bytes())
    else:
        with Client() as client:
            inspection = client.inspect_image(image.read_bytes())
    if as_json:
        show_json(inspection)
        return
    out.print(ORIGINS.get(inspection.origin, "[bold red]NOT DETERMINED[/]"))
    if inspection.withdrawn:
        out.print("[bold red]WITHDRAWN[/]: it may not be used again")
    for finding in inspection.findings:
        mark = "[green]✔[/]" if finding.found else "[dim]–[/]"
        out.print(f"  {mark} [bold]{finding.layer}[/] {escape(finding.message)}")
    for box in inspection.changes:
        out.print(f"  [yellow]changed[/] {box.w}×{box.h} at ({box.x}, {box.y})")
    if 0 < inspection.false_positive_probability < 1:
        chance = inspection.false_positive_probability
        out.print(f"  a picture that is not ours would look like this with a probability of at most {chance:.1g}")
    if inspection.decision_id:
        out.print(f"  image {inspection.provenance.image_id}, decision {inspection.decision_id}", style="dim")


def _own_registry() -> Callable[[bytes], Inspection]:
    """What inspects without a house, where the rooms are installed; the client itself needs none of them."""
    for entry in entry_points(group="portcullis.offline", name="inspect"):
        if not any(missing(extra) for extra in entry.extras):
            ask: Callable[[bytes], Inspection] = entry.load()
            return ask
    raise PortcullisError(
        f"--offline needs parts that are not installed: {pip_command(['embedded', 'provenance'])}",
        code="FAILED_PRECONDITION",
        reason="EXTRA_MISSING",
    )


def decision(
    decision_id: Annotated[str, typer.Argument(help="The id that an answer gave.")], as_json: Json = False
) -> None:
    """Read what was decided and why.

    Example: portcullis decision 3f0c…
    """
    with Client() as client:
        answer = client.get_decision(decision_id)
    if as_json:
        show_json(answer)
        return
    out.print(f"{verdict_markup(answer.verdict)} for account {escape(answer.account)}")
    show_reasons(answer.reasons)
    out.print(f"  policy {answer.policy[:12]}, request {answer.request_id}", style="dim")
    for item in answer.review_item_ids:
        out.print(f"  review item {item}")
    for image in answer.images:
        gone = ", [bold red]withdrawn[/] since" if image.withdrawn else ""
        out.print(f"  released {image.image_id}, {image.width}×{image.height}, sha256 {image.sha256[:12]}…{gone}")
    if answer.resumable:
        out.print(f"  people have released it; go on with: portcullis resume {answer.decision_id} -o out/")
    if answer.HasField("appeal"):
        show_appeal(answer.appeal)


def _leave(verdict: Verdict.ValueType) -> None:
    raise typer.Exit(0 if verdict == Verdict.VERDICT_ALLOW else REFUSED)
