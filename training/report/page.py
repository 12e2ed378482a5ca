"""Writes the figures of a report as a page of Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

_PLOTS = {
    "precision_recall.png": "Precision and recall by category; dashed: guessing",
    "reliability.png": "Scores and the share of violations among texts with such scores; dashed: calibrated",
    "verdicts.png": "Verdicts by label",
}


def render(figures: Mapping[str, Any], about: Mapping[str, str], plots: Sequence[str]) -> str:
    """The page; `about` are its first lines, `plots` the names of files in the folder `plots` beside it."""
    number = figures["harmless texts that set the thresholds"]
    parts = [
        "# How the prompt filter does",
        "\n".join(f"- {name}: {value}" for name, value in about.items()),
        "## By category",
        f"Recall at 1% and 5% takes its threshold from {number:,} harmless texts; review is the policy's threshold.",
        _table("category", figures["categories"]),
        *(f"![{_PLOTS[plot]}](plots/{plot})" for plot in plots),
        "## Verdicts of the policy, by label",
        _table("label", figures["verdicts"]),
        "## By source",
        "Stopped is every verdict but ALLOW; average precision is that of `any`.",
        _table("source", figures["sources"]),
        "## By length in characters",
        _table("length", figures["lengths"]),
        "## Worst errors",
        *_worst(figures["worst"]),
    ]
    return "\n\n".join(parts) + "\n"


def _worst(worst: Mapping[str, Mapping[str, Sequence[Mapping[str, Any]]]]) -> list[str]:
    """A table a category and kind that has errors."""
    parts = []
    for category, kinds in worst.items():
        for kind, rows in kinds.items():
            if rows:
                parts += [f"### `{category}`: {kind}", _table("line", {str(row["line"]): row for row in rows})]
    return parts or ["None beyond 0.5."]


def _table(first: str, rows: Mapping[str, Mapping[str, Any]]) -> str:
    """A table; its columns are the fields of the rows in order of appearance."""
    columns = [name for name in dict.fromkeys(name for row in rows.values() for name in row) if name != first]
    lines = [[first, *columns], ["---"] * (len(columns) + 1)]
    lines += [[name, *(_cell(column, row.get(column)) for column in columns)] for name, row in rows.items()]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


_SHARES = ("recall", "false positives", "stopped")


def _cell(column: str, value: Any) -> str:
    """A value for a person: shares in per cent, what is missing as a dash, a text without mark-up."""
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:.1%}" if any(word in column for word in _SHARES) else f"{value:.3f}"
    if isinstance(value, int):
        return f"{value:,}"
    return _code(value) if column == "text" else value.replace("|", "\\|")


def _code(text: str) -> str:
    """`text` in a span of code: nothing in it is read as mark-up."""
    one_line = " ".join(text.split()).replace("`", "'").replace("|", "\\|")
    return f"`{one_line}`"
