"""The `portcullis` command: everything a person can do, in one place.

Commands that need a room of the house join through the entry points "portcullis.commands"; each names the extras that
it needs, and one whose extras are missing says how to install them.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points

import typer

from portcullis.cli import checks, images, review
from portcullis.cli.extras import missing, pip_command
from portcullis.cli.output import show_error
from portcullis.errors import PortcullisError

HELP = """The safety layer between a platform and its image generator.

Start a house with [bold]portcullis up[/], then in another terminal:

  portcullis create "a red circle above a blue square on a yellow background" -o out/
  portcullis check prompt "a quiet harbour at dawn"
  portcullis inspect out/….png

Exit codes: 0 allowed or done, 1 error, 2 wrong usage, 3 refused or held by policy.
"""


def build() -> typer.Typer:
    """The whole command line, with the commands that installed rooms add."""
    app = typer.Typer(help=HELP, no_args_is_help=True, rich_markup_mode="rich", pretty_exceptions_enable=False)
    for command in (images.create, images.edit, images.vary, checks.inspect, checks.decision):
        app.command()(command)
    app.add_typer(checks.app, name="check")
    app.add_typer(review.app, name="review")
    for entry in sorted(entry_points(group="portcullis.commands"), key=lambda entry: entry.name):
        _join(app, entry)
    return app


def _join(app: typer.Typer, entry: EntryPoint) -> None:
    if any(missing(extra) for extra in entry.extras):
        app.command(entry.name, help=f"Needs {pip_command(entry.extras)}.")(_explain(entry))
        return
    command = entry.load()
    if isinstance(command, typer.Typer):
        app.add_typer(command, name=entry.name)
    else:
        app.command(entry.name)(command)


def _explain(entry: EntryPoint) -> Callable[[], None]:
    def explain() -> None:
        raise PortcullisError(
            f"`portcullis {entry.name}` needs parts that are not installed: {pip_command(entry.extras)}",
            code="FAILED_PRECONDITION",
            reason="EXTRA_MISSING",
        )

    return explain


def main() -> None:
    """Runs the command line; expected failures end it with one clear message."""
    try:
        build()()
    except PortcullisError as error:
        show_error(error)
        sys.exit(1)
