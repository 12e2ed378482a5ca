"""Writes the model card of the prompt model from its figures."""

from __future__ import annotations

from pathlib import Path
from string import Template
from typing import Any

_TEMPLATE = Path(__file__).with_suffix(".md")


def render(figures: dict[str, Any]) -> str:
    """The card in Markdown."""
    fairness = figures["fairness"]
    worst = ", ".join(f"{term} {_percent(share)}" for term, share in fairness["worst"].items())
    said = (
        f"{fairness['sentences']:,} harmless identity sentences (madlibs) that training did not see: "
        f"{_percent(fairness['flagged at 0.5'])} flagged at 0.5; largest gap between two terms "
        f"{_percent(fairness['largest gap between terms'])}; worst: {worst}."
    )
    return Template(_TEMPLATE.read_text(encoding="utf-8")).substitute(
        categories="\n".join(_category(name, parts) for name, parts in figures["categories"].items()),
        sources="\n".join(_source(name, row) for name, row in figures["sources"].items()),
        fairness=said,
    )


def _category(name: str, parts: dict[str, dict[str, Any]]) -> str:
    test, unseen = parts["test"], parts["unseen sources"]
    at_one = "recall at 1% false positives on ordinary prompts"
    cells = [
        str(test["violations"]),
        *(_percent(test.get(key)) for key in (at_one, "recall at 0.5")),
        *(str(test.get(key, "–")) for key in ("average precision", "calibration error")),
        str(unseen["violations"]),
        *(_percent(unseen.get(key)) for key in (at_one, "recall at 0.5")),
    ]
    return f"| `{name}` | {' | '.join(cells)} |"


def _source(name: str, row: dict[str, Any]) -> str:
    shares = ("violations found at 0.5", "harmless flagged at 0.5", "harmless flagged at 0.8")
    return f"| {name} | {row['texts']} | {' | '.join(_percent(row[key]) for key in shares)} |"


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{share:.1%}"
