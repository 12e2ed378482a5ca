"""`make demo`: starts a house of its own, shows a visitor round, and leaves a report."""

from __future__ import annotations

import sys
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.panel import Panel

from demo.book import Book
from demo.figures import show_figures
from demo.report import write_report
from demo.running import NotUp, RunningHouse, running_house
from demo.stops import Stops
from portcullis import Client, PortcullisError, ReviewClient

OUT = Path("out/demo")
# A visitor need not wait ten seconds for an analyst to think again.
SETTINGS = {"PORTCULLIS_REVIEW_UNDO_SECONDS": "2"}


def main() -> None:
    """Takes the tour; exits with 1 if anything did not come out as the tour promises."""
    console = Console(highlight=False)
    console.print(
        Panel("[bold]Portcullis[/]: a guided tour of a real house\nnothing is staged; every line is an answer")
    )
    OUT.mkdir(parents=True, exist_ok=True)
    home = (OUT / "home").absolute()
    book = Book(console)
    try:
        with console.status("starting the house …") as status:

            def tell(news: str) -> None:
                console.print(f"  [green]✔[/] {news}")
                status.update("starting the house …")

            with running_house(home, tell, SETTINGS) as house:
                status.stop()
                _walk(book, house)
    except (NotUp, PortcullisError) as error:
        book.missed.append(str(error))
        console.print(f"[bold white on red] the tour broke off [/] {escape(str(error))}")
    report = OUT / "report.html"
    write_report(book, report)
    _goodbye(console, book, home, report)
    sys.exit(1 if book.missed else 0)


def _walk(book: Book, house: RunningHouse) -> None:
    with Client(house.profile) as client, ReviewClient(house.profile) as desk:
        stops = Stops(book, client, desk, OUT)
        for stop in (
            stops.allowed,
            stops.blocked,
            stops.obfuscated,
            stops.foreign,
            stops.face,
            stops.pair,
            stops.tampered,
            stops.doubtful,
        ):
            stop()
        show_figures(book, house, stops.timings)


def _goodbye(console: Console, book: Book, home: Path, report: Path) -> None:
    console.print()
    if book.missed:
        console.print(f"[bold white on red] {len(book.missed)} things were not as promised [/]")
        for missed in book.missed:
            console.print(f"  [red]✘[/] {escape(missed)}")
    else:
        console.print("[bold green]Everything the tour promised came true.[/]")
    reach = f"PORTCULLIS_HOME={home} {Path(sys.executable).with_name('portcullis')}"
    for line in (
        f"  report    {report.absolute()}",
        f"  pictures  {OUT.absolute()}",
        f"  data home {home} [dim](database, keys, evidence; the servers' log is {home}.log)[/]",
        "To keep the servers running on it, and to talk to them from another terminal:",
        f"  [bold]{reach} up[/]",
        f'  [bold]{reach} create "a red circle" -o out/[/]',
    ):
        console.print(line, soft_wrap=True)


if __name__ == "__main__":
    main()
