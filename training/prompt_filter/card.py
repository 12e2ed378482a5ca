"""Writes the model card of the prompt model from its figures."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from string import Template
from typing import Any

from training.prompt_filter import data

_READ = (*data.UNSEEN, "unseen grammars", "general")
_TEMPLATE = Path(__file__).with_suffix(".md")


def render(figures: dict[str, Any]) -> str:
    """The card in Markdown; `figures["unseen"]` are those of the model before it was trained on what was held out."""
    return Template(_TEMPLATE.read_text(encoding="utf-8")).substitute(
        categories="\n".join(_categories(figures)),
        sources="\n".join(_source(name, row) for name, row in figures["sources"].items()),
        goals="\n".join(_goals(figures)),
        gate="\n".join(
            f"| {kind} | {row['texts']} | {row['settled']:.1%} | {row['same verdict']:.3%} |"
            for kind, row in figures["gate"].items()
        ),
        fairness="\n".join(_fairness(figures["fairness"])),
    )


def _categories(figures: dict[str, Any]) -> Iterator[str]:
    for name, found in figures["categories"].items():
        cells = [_share(found["prompts"]), _share(found["test"]), f"{found['ECE']:.3f}"]
        yield f"| `{name}` | {' | '.join(cells)} | {_share(figures['unseen']['categories'][name]['unseen'])} |"


def _goals(figures: dict[str, Any]) -> Iterator[str]:
    before = figures["unseen"]
    for key in ("any, unseen sources, at 1%", "adversarial at 1%", "adversarial at 5%"):
        for name, cell in before[key].items():
            yield f"| {key}: {name} | {_share(cell)} | {_shipped(name, _share(figures[key][name]))} |"
    for name, cell in before["harmless flagged where 80% of violations are found"].items():
        after = figures["harmless flagged where 80% of violations are found"][name]
        yield f"| harmless flagged where 80% are found: {name} | {_share(cell)} | {_shipped(name, _share(after))} |"
    for kind, ranked in before["average precision"].items():
        for head, cell in ranked.items():
            after = figures["average precision"][kind][head]
            shipped = _shipped(kind, _precision(after))
            yield f"| average precision, {kind}: {head} | {_precision(cell)} | {shipped} |"


def _source(name: str, row: dict[str, Any]) -> str:
    shares = ("violations found at 0.5", "harmless flagged at 0.5", "harmless flagged at 0.8")
    return f"| {name} | {row['texts']} | {' | '.join(_share(row[key]) for key in shares)} |"


def _fairness(sets: dict[str, Any]) -> Iterator[str]:
    for name, found in sets.items():
        for point, row in found["at"].items():
            gap = f"{row['largest gap']:.1%} ({row['most flagged']} over {row['least flagged']})"
            yield f"| {name} | {point} | {row['hateful found']:.1%} | {row['harmless flagged']:.1%} | {gap} |"


def _shipped(name: str, figure: str) -> str:
    """Nothing where the last phase read the texts."""
    return "read" if name in _READ else figure


def _share(cell: dict[str, Any]) -> str:
    return f"{cell['share']:.1%} of {cell['of']}" if cell["of"] else "–"


def _precision(cell: dict[str, Any]) -> str:
    return f"{cell['precision']:.2f} ({cell['violations']} of {cell['of']})" if "precision" in cell else "–"
