"""`portcullis report` and `appeal`: what platforms pass on for others."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.markup import escape

from portcullis.cli.arguments import DEFAULT_ACCOUNT, Account, Json, Picture
from portcullis.cli.checks import ORIGINS
from portcullis.cli.output import out, show_appeal, show_json
from portcullis.client import Client

Statement = Annotated[str, typer.Option(help="What they say, up to 2,000 characters.")]


def report(
    image: Picture,
    reporter: Annotated[str, typer.Option(help="Who complains, an opaque id such as a hash of an address.")],
    category: Annotated[str, typer.Option(help="What is wrong, such as violence; empty if they did not say.")] = "",
    statement: Statement = "",
    as_json: Json = False,
) -> None:
    """Pass on somebody's complaint about a picture.

    Example: portcullis report found.png --reporter 5f2b… --category violence --statement "It shows my brother."
    """
    with Client() as client:
        answer = client.report_image(image.read_bytes(), reporter=reporter, category=category, statement=statement)
    if as_json:
        show_json(answer)
        return
    out.print(ORIGINS.get(answer.origin, "[bold red]NOT DETERMINED[/]"))
    out.print(f"  {escape(answer.notice)}")
    if answer.report_id:
        out.print(f"  report {answer.report_id}", style="dim")


def appeal(
    decision_id: Annotated[str, typer.Argument(help="The refusal; empty for the account's suspension.")] = "",
    account: Account = DEFAULT_ACCOUNT,
    statement: Statement = "",
    as_json: Json = False,
) -> None:
    """Ask that another person look again at a refusal or a suspension.

    Example: portcullis appeal 3f0c… --account user-1 --statement "It is a toy."
    """
    with Client() as client:
        opened = client.appeal_decision(decision_id, account=account, statement=statement)
    if as_json:
        show_json(opened)
    else:
        show_appeal(opened)
