"""The tour's diary: prints what happens as it happens, and keeps it for the report."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.rule import Rule

from portcullis.cli.output import describe
from portcullis.v1.checks_pb2 import Reason


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a chapter: a style of the report ("said", "fact", "met", "missed", "reason") and its text."""

    style: str
    text: str


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture of a chapter."""

    caption: str
    data: bytes
    mime: str

    @property
    def uri(self) -> str:
        """The picture as a data URI, so that the report is one file."""
        return f"data:{self.mime};base64,{base64.b64encode(self.data).decode()}"


@dataclass(slots=True)
class Chapter:
    """One stop of the tour."""

    title: str
    purpose: str
    lines: list[Line] = field(default_factory=list[Line])
    pictures: list[Picture] = field(default_factory=list[Picture])
    table: list[tuple[str, ...]] = field(default_factory=list[tuple[str, ...]])


class Book:
    """All chapters, and what did not come out as it should."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.chapters: list[Chapter] = []
        self.missed: list[str] = []

    def chapter(self, title: str, purpose: str) -> None:
        """Opens the next stop of the tour."""
        self.chapters.append(Chapter(title, purpose))
        self.console.print()
        self.console.print(Rule(f"[bold]{len(self.chapters)} · {escape(title)}[/]", align="left"))
        self.console.print(f"[dim]{escape(purpose)}[/]")

    def say(self, text: str) -> None:
        """What the client does."""
        self._add("said", text, f"[bold cyan]›[/] {escape(text)}")

    def fact(self, text: str) -> None:
        """What the house answered."""
        self._add("fact", text, f"  {escape(text)}")

    def reasons(self, reasons: Iterable[Reason], prompt: str = "") -> None:
        """Why the house refused or doubted."""
        for reason in reasons:
            limit = f"rule {reason.rule}" if reason.rule else f"{reason.score:.2f} ≥ {reason.threshold:.2f}"
            places = ", ".join(place for place in (describe(e, prompt) for e in reason.evidence) if place)
            text = f"{reason.category} ({limit}): {reason.message}" + (f" → {places}" if places else "")
            self._add("reason", text, f"  [yellow]▪[/] {escape(text)}")

    def picture(self, caption: str, data: bytes, saved: Path | None = None) -> None:
        """Keeps a picture for the report, and says where it was saved."""
        mime = "image/png" if data.startswith(b"\x89PNG") else "image/jpeg"
        self.chapters[-1].pictures.append(Picture(caption, data, mime))
        if saved is not None:
            self.fact(f"saved {saved}")

    def row(self, *cells: str) -> None:
        """One row of the chapter's table; the first is its head."""
        self.chapters[-1].table.append(cells)

    def expect(self, met: bool, expectation: str) -> None:
        """Checks what the tour promises; what is missed is told loudly and ends the tour badly."""
        if met:
            self._add("met", expectation, f"  [bold green]✔[/] {escape(expectation)}")
            return
        self.missed.append(f"{self.chapters[-1].title}: {expectation}")
        self._add("missed", expectation, f"  [bold white on red] NOT SO [/] [bold red]{escape(expectation)}[/]")

    def _add(self, style: str, text: str, markup: str) -> None:
        self.chapters[-1].lines.append(Line(style, text))
        self.console.print(markup)
