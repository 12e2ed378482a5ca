"""Figures of texts that training had not read when they were measured: those of the model card."""

from __future__ import annotations

import json
from typing import Any

from benchmarks.report.table import Figure
from services.core.artifacts import MODELS

_WHEN = "(the model before its last phase, as measured in training)"


def figures() -> list[Figure]:
    """Sources and grammars held out whole; the shipped model has read them since, so nothing is run here."""
    card: dict[str, Any] = json.loads((MODELS / "prompt" / "metrics.json").read_text(encoding="utf-8"))["unseen"]
    found = []
    for source, row in card["any, unseen sources, at 1%"].items():
        found.append(Figure(f"unseen source: {source}, recall at 1% FP {_WHEN}", row["of"], row["share"], 0.85))
    for category, parts in card["categories"].items():
        if "share" in (row := parts["unseen"]):
            found.append(Figure(f"unseen sources: {category}, recall at 1% FP {_WHEN}", row["of"], row["share"], 0.85))
    for rate, goal in (("1%", 0.65), ("5%", 0.92)):
        row = card[f"adversarial at {rate}"]["nibrw"]
        found.append(Figure(f"adversarial: nibrw, recall at {rate} FP {_WHEN}", row["of"], row["share"], goal))
    row = card["harmless flagged where 80% of violations are found"]["unseen grammars"]
    found.append(Figure(f"hard benign: unseen grammars {_WHEN}", row["of"], row["share"], 0.10, at_most=True))
    for category, goal in (("any", 0.85), ("sexual", 0.90), ("hate", 0.70), ("self_harm", 0.70)):
        row = card["average precision"]["general"][category]
        if "precision" in row:
            what = f"unseen general text: {category}, AUPRC {_WHEN}"
            found.append(Figure(what, row["of"], row["precision"], goal, form="{:.2f}"))
    return found
