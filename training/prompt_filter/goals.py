"""The figures that the prompt filter is held to, on texts that training did not see."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import average_precision_score

from training.prompt_filter import data
from training.report.figures import FEWEST, calibration_error

ORDINARY = ("coco", "t2icomp", "diffdb")
PROMPTS = ("copro", "nib", "nibrw", "contrast", "own-prompts")
GENERAL = ("own-long", "surge", "davidson", "vicomtech", "ailuminate")
RANKED = ("sexual", "hate", "self_harm")
FOUND = 0.8
REVIEW, BLOCK = 0.5, 0.8


def goals(rows: pd.DataFrame, scores: np.ndarray) -> dict[str, Any]:
    """`rows` with `part`; `scores` float (rows, categories). Only the test part and what is unseen are looked at."""
    held = rows["part"].isin(["test", "unseen"]).to_numpy()
    rows, scores = rows[held], scores[held]
    truth, source, worst = data.labels(rows), rows["src"].to_numpy(), scores.max(axis=1)
    violates, unseen = truth[:, -1] == 1, rows["part"].eq("unseen").to_numpy()
    ordinary = np.isin(source, ORDINARY) & (truth[:, -1] == 0)
    one, five = (float(np.quantile(worst[ordinary], share)) for share in (0.99, 0.95))
    adversarial = {name: violates & (source == name) for name in ("nib", "nibrw", "own-prompts")}
    grammars = np.where(unseen & (source == "contrast"), "unseen grammars", source)
    twins = {name: grammars == name for name in ("contrast", "unseen grammars", "own-prompts", "own-long", "hatemoji")}
    long = {"general": np.isin(source, GENERAL), "own-long": source == "own-long"}
    return {
        "categories": {
            category: _category(rows, scores[:, column], truth[:, column], ordinary)
            for column, category in enumerate(data.CATEGORIES)
        },
        "any, unseen sources, at 1%": {s: found(worst[violates & (source == s)], one) for s in data.UNSEEN},
        "adversarial at 1%": {name: found(worst[part], one) for name, part in adversarial.items()},
        "adversarial at 5%": {name: found(worst[part], five) for name, part in adversarial.items()},
        "ordinary prompts flagged at 0.5": found(worst[ordinary], REVIEW),
        "harmless flagged where 80% of violations are found": {
            name: flagged(worst[part], truth[part, -1]) for name, part in twins.items()
        },
        "average precision": {
            name: {"any": precision(worst[part], truth[part, -1])}
            | {category: precision(*_column(category, scores[part], truth[part])) for category in RANKED}
            for name, part in long.items()
        },
    }


def _category(rows: pd.DataFrame, scores: np.ndarray, truth: np.ndarray, ordinary: np.ndarray) -> dict[str, Any]:
    """Recall at 1% false positives on ordinary prompts, and calibration, of one category."""
    source, test = rows["src"].to_numpy(), rows["part"].eq("test").to_numpy()
    threshold = float(np.quantile(scores[ordinary], 0.99))
    parts = {"prompts": test & np.isin(source, PROMPTS), "test": test & (source != "i2p"), "unseen": ~test}
    figures: dict[str, Any] = {name: found(scores[part & (truth == 1)], threshold) for name, part in parts.items()}
    known = parts["test"] & (truth >= 0)
    return figures | {"ECE": round(calibration_error(scores[known], truth[known] == 1), 4)}


def _column(category: str, scores: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    column = data.CATEGORIES.index(category)
    return scores[:, column], truth[:, column]


def by_source(rows: pd.DataFrame, scores: np.ndarray) -> dict[str, Any]:
    """Per source of `rows`, whose index counts from 0; `scores` (rows, categories)."""
    labels = data.labels(rows)
    sources = {}
    for source, part in rows.groupby("src"):
        worst = scores[part.index].max(axis=1)
        bad, good = labels[part.index, -1] == 1, labels[part.index, -1] == 0
        sources[str(source)] = {
            "texts": len(part),
            "violations found at 0.5": found(worst[bad], REVIEW),
            "harmless flagged at 0.5": found(worst[good], REVIEW),
            "harmless flagged at 0.8": found(worst[good], BLOCK),
        }
    return sources


def found(scores: np.ndarray, threshold: float) -> dict[str, float]:
    """The share above the threshold, and of how many."""
    return {"share": round(float(np.mean(scores > threshold)), 4), "of": len(scores)} if len(scores) else {"of": 0}


def flagged(scores: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """The share of harmless ones above the threshold that finds FOUND of the others; and what 0.5 does."""
    bad, good = scores[truth == 1], scores[truth == 0]
    if min(len(bad), len(good)) < FEWEST:
        return {"of": 0}
    threshold = float(np.quantile(bad, 1 - FOUND))
    return found(good, threshold) | {
        "threshold": round(threshold, 4),
        "found at 0.5": found(bad, REVIEW)["share"],
        "flagged at 0.5": found(good, REVIEW)["share"],
    }


def precision(scores: np.ndarray, truth: np.ndarray) -> dict[str, Any]:
    """Average precision over the rows whose label is known, how many these are, and how many of them violate."""
    known = truth >= 0
    counts = {"violations": int((truth == 1).sum()), "of": int(known.sum())}
    if counts["violations"] < FEWEST:
        return counts
    return {"precision": round(float(average_precision_score(truth[known] == 1, scores[known])), 4)} | counts
