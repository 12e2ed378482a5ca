"""Figures beside their goals, as a table and as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich.table import Table


@dataclass(frozen=True, slots=True)
class Figure:
    """`value` measured on `number` texts or runs, beside a `goal` that is a least, or `at_most`; `form` shows both.

    `key` names the same figure of another filter, where `what` tells more.
    """

    what: str
    number: int
    value: float
    goal: float | None = None
    at_most: bool = False
    form: str = "{:.1%}"
    key: str = ""

    @property
    def name(self) -> str:
        """What the same figure of another filter is found by."""
        return self.key or self.what

    @property
    def met(self) -> bool | None:
        """Whether the goal is reached; None where there is none."""
        if self.goal is None:
            return None
        return bool(self.value <= self.goal if self.at_most else self.value >= self.goal)


def table(
    title: str, figures: Sequence[Figure], others: Mapping[str, Sequence[Figure]], ours: str = "Portcullis"
) -> Table:
    """A row a figure: what, on how many, goal, figure under `ours`, and the `others` by what they are called."""
    shown = Table("what", "number", "goal", ours, "", *others, title=title)
    theirs = [{figure.name: figure for figure in found} for found in others.values()]
    for figure in figures:
        goal = "" if figure.goal is None else ("≤ " if figure.at_most else "≥ ") + figure.form.format(figure.goal)
        mark = {None: "", True: "[green]✓[/]", False: "[red]✗[/]"}[figure.met]
        beside = [row.get(figure.name) for row in theirs]
        cells = ["" if other is None else other.form.format(other.value) for other in beside]
        shown.add_row(figure.what, f"{figure.number:,}", goal, figure.form.format(figure.value), mark, *cells)
    return shown


def record(figures: Sequence[Figure]) -> list[dict[str, object]]:
    """The figures as JSON."""
    return [
        {"what": f.what, "number": f.number, "value": round(float(f.value), 5), "goal": f.goal, "met": f.met}
        for f in figures
    ]
