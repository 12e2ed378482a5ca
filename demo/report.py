"""The tour as one HTML file, pictures included."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from jinja2 import Environment, PackageLoader

from demo.book import Book


def write_report(book: Book, path: Path) -> None:
    """Renders every chapter of `book` to `path`."""
    environment = Environment(loader=PackageLoader("demo", ""), autoescape=True)
    template = environment.get_template("report.html.j2")
    page = template.render(chapters=book.chapters, missed=book.missed, when=datetime.now(UTC))
    path.write_text(page, encoding="utf-8")
