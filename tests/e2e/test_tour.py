"""The guided tour: whatever it shows a visitor is true."""

from __future__ import annotations

import io

from rich.console import Console

from demo.book import Book
from demo.figures import show_figures
from demo.report import write_report
from demo.stops import Stops


def test_every_promise_of_the_tour_holds(house, client, desk, tmp_path):
    book = Book(Console(file=io.StringIO()))
    stops = Stops(book, client, desk, tmp_path)
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
    write_report(book, tmp_path / "report.html")
    assert book.missed == []
    assert (tmp_path / "report.html").stat().st_size > 100_000
