"""`portcullis doctor`: what this machine lacks, or an installation elsewhere, and how to mend it."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from importlib.metadata import distributions, metadata, version
from importlib.util import find_spec
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from portcullis.cli.extras import PACKAGE, missing, pip_command
from portcullis.profile import load_profile
from services.commands.findings import Finding, Level

MARKS = {Level.GOOD: "[green]✔[/]", Level.NOTE: "[yellow]•[/]", Level.BAD: "[bold red]✘[/]"}
# Wanted on purpose only: never counted as missing.
OPTIONAL_EXTRAS = frozenset({"dev", "image-models", "nudenet", "open-clip", "opennsfw", "otel", "training", "tour"})


def doctor(
    remote: Annotated[
        bool, typer.Option("--remote", help="Look at the installation that PORTCULLIS_ADDRESS names instead.")
    ] = False,
) -> None:
    """Say what is missing on this machine and how to get it; exits with 1 if something here cannot work.

    With --remote: whether the gateway of this environment's profile can be reached and trusted, takes our key, is well,
    keeps time, and has every filter answer; a harmless call to each, by the account "doctor".

    Examples: portcullis doctor · PORTCULLIS_ADDRESS=gateway.example.com:7400 portcullis doctor --remote
    """
    console = Console(highlight=False)
    worst = Level.GOOD
    for finding in examine_remote() if remote else examine():
        worst = max(worst, finding.level)
        console.print(f"{MARKS[finding.level]} [bold]{escape(finding.subject)}[/] {escape(finding.message)}")
        if finding.mend:
            console.print(f"    → {escape(finding.mend)}", style="dim")
    raise typer.Exit(1 if worst is Level.BAD else 0)


def examine() -> Iterator[Finding]:
    """Every finding, the most basic first; what needs the core is looked at only where the core is installed."""
    yield _version()
    yield _python()
    yield from _extras()
    yield from _packages_at_odds()
    yield from _text_reader()
    if missing("core"):
        return
    from services.commands import checkup
    from services.commands.plain import told_plainly

    with told_plainly():
        yield from checkup.models()
        yield from checkup.explicit()
        yield from checkup.home()
        yield from asyncio.run(checkup.running())


def examine_remote() -> Iterator[Finding]:
    """Every finding about the installation that the profile names."""
    from services.commands import remote

    yield _version()
    yield from remote.examine(load_profile())


def _version() -> Finding:
    return Finding(Level.GOOD, "portcullis", version(PACKAGE))


def _python() -> Finding:
    return Finding(Level.GOOD, "python", f"{sys.version.split()[0]} at {sys.executable}")


def _extras() -> Iterator[Finding]:
    for extra in sorted(metadata(PACKAGE).get_all("Provides-Extra") or []):
        lacking = missing(extra)
        if not lacking:
            yield Finding(Level.GOOD, f"[{extra}]", "installed")
        else:
            level = Level.NOTE if extra in OPTIONAL_EXTRAS else Level.BAD
            yield Finding(level, f"[{extra}]", f"lacks {', '.join(lacking)}", pip_command([extra]))


def _text_reader() -> Iterator[Finding]:
    """What reads text in pictures is in no extra: it asks for another OpenCV than ours."""
    if missing("image-filter"):
        return
    from services.image_filter.text_lines import INSTALL, PACKAGE

    if find_spec(PACKAGE) is None:
        yield Finding(Level.BAD, "text reader", "nothing that reads text in pictures is installed", INSTALL)
    else:
        yield Finding(Level.GOOD, "text reader", "rapidocr-onnxruntime is installed")


def _packages_at_odds() -> Iterator[Finding]:
    """Packages of which one alone may be installed, because their files overwrite each other's."""
    installed = {str(distribution.metadata["Name"]).lower() for distribution in distributions()}
    for family in ("opencv-python", "onnxruntime"):
        found = sorted(name for name in installed if name == family or name.startswith(f"{family}-"))
        if family == "opencv-python":
            found = sorted({*found, *(name for name in installed if name.startswith("opencv-"))})
        if len(found) > 1:
            yield Finding(
                Level.BAD, family, f"installed more than once: {', '.join(found)}", f"pip uninstall {' '.join(found)}"
            )
