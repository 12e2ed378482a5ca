"""The `portcullis` command: everything a person can do, in one place.

Commands that need a room of the house join through the entry points "portcullis.commands"; each names the extras that
it needs, and one whose extras are missing says how to install them.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from importlib.metadata import EntryPoint, entry_points

import typer
from rich.markup import escape

from portcullis.cli import account, checks, complaints, images, review
from portcullis.cli.extras import missing, pip_command
from portcullis.cli.output import show_error
from portcullis.errors import PortcullisError

HELP = """The safety layer between a platform and its image generator.

Start a house with [bold]portcullis up[/], then in another terminal:

  portcullis create "a yellow sun above a red house in a meadow" -o out/
  portcullis check prompt "a quiet harbour at dawn"
  portcullis inspect out/….png

Exit codes: 0 allowed or done, 1 error, 2 wrong usage, 3 refused or held by policy.
"""


COMMANDS: dict[str, Callable[..., None]] = {
    "create": images.create,
    "edit": images.edit,
    "vary": images.vary,
    "resume": images.resume,
    "inspect": checks.inspect,
    "decision": checks.decision,
    "report": complaints.report,
    "appeal": complaints.appeal,
}
GROUPS = {"account": account.app, "check": checks.app, "review": review.app}


def build(arguments: Sequence[str]) -> typer.Typer:
    """The command line for `arguments`: our own commands, and those of installed rooms that they may mean."""
    app = typer.Typer(help=HELP, no_args_is_help=True, rich_markup_mode="rich", pretty_exceptions_enable=False)
    for name, command in COMMANDS.items():
        app.command(name)(command)
    for name, group in GROUPS.items():
        app.add_typer(group, name=name)
    for entry in _meant(arguments):
        _join(app, entry)
    return app


def _meant(arguments: Sequence[str]) -> list[EntryPoint]:
    """Loading a room's command takes its imports, so only the one that is called is loaded; all of them for help."""
    called = next((argument for argument in arguments if not argument.startswith("-")), None)
    if called in COMMANDS or called in GROUPS:
        return []
    entries = sorted(entry_points(group="portcullis.commands"), key=lambda entry: entry.name)
    return [entry for entry in entries if entry.name == called] or entries


def _join(app: typer.Typer, entry: EntryPoint) -> None:
    if any(missing(extra) for extra in entry.extras):
        app.command(entry.name, help=escape(f"Needs {pip_command(entry.extras)}."))(_explain(entry))
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
        build(sys.argv[1:])()
    except PortcullisError as error:
        show_error(error)
    except UnicodeEncodeError:  # how protobuf refuses the surrogates that stand for such bytes
        show_error(PortcullisError("the command line holds bytes that are not UTF-8", code="INVALID_ARGUMENT"))
    except OSError as error:
        show_error(PortcullisError(f"{error.filename}: {error.strerror}", code="FAILED_PRECONDITION"))
    else:
        return
    sys.exit(1)
