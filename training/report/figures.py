"""Counts how well scores fit labels: recall at a false-positive rate, precision, calibration, by source and length."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import average_precision_score

RATES = (0.01, 0.05)
# Fewer of a kind make no figure.
FEWEST = 10
_BINS = 10
_LENGTHS = (0, 30, 80, 200, 500, 1_000, 10**9)
_WORST = 10
VERDICTS = ("ALLOW", "REVIEW", "BLOCK", "REFUSED")


def calibration(scores: np.ndarray, truth: np.ndarray) -> list[tuple[float, float, int]]:
    """(mean score, share of violations, texts) of each of ten bins of equal width that holds any."""
    bins = np.minimum((scores * _BINS).astype(int), _BINS - 1)
    return [
        (float(scores[bins == index].mean()), float(truth[bins == index].mean()), int((bins == index).sum()))
        for index in range(_BINS)
        if (bins == index).any()
    ]


def calibration_error(scores: np.ndarray, truth: np.ndarray) -> float:
    """Expected calibration error over ten bins of equal width (Guo et al. 2017), 0…1."""
    return sum(abs(mean - share) * count for mean, share, count in calibration(scores, truth)) / len(scores)


def threshold(harmless: np.ndarray, rate: float) -> float:
    """What at most `rate` of the harmless scores are *above*."""
    return float(np.quantile(harmless, 1 - rate, method="higher"))


def report(
    rows: pd.DataFrame, scores: pd.DataFrame, limits: Mapping[str, float], benign: pd.DataFrame
) -> dict[str, Any]:
    """All figures but curves.

    `rows`: text, src, line, verdict, a column a category with 1, 0, -1; `scores`: a column a category, 0…1, aligned;
    `limits`: the policy's review threshold by category; `benign`: scores of harmless prompts, which set the thresholds
    at 1% and 5%, perhaps none.
    """
    categories = [name for name in scores if (rows[name] >= 0).any()]
    return {
        "texts": len(rows),
        "harmless texts that set the thresholds": len(benign),
        "categories": {
            name: _category(rows[name], scores[name], limits.get(name), benign[name]) for name in categories
        },
        "verdicts": _verdicts(rows, [name for name in categories if name != "any"]),
        "sources": _parts(rows, scores["any"], rows["src"].replace("", "(none)")),
        "lengths": _parts(rows, scores["any"], _length(rows["text"])),
        "worst": {name: _worst(rows, scores[name], rows[name]) for name in categories},
    }


def _category(
    labels: pd.Series[int], scores: pd.Series[float], limit: float | None, benign: pd.Series[float]
) -> dict[str, Any]:
    """Figures over the rows whose label is known."""
    known = labels >= 0
    truth, values = (labels[known] == 1).to_numpy(), scores[known].to_numpy()
    figures: dict[str, Any] = {"texts": len(truth), "violations": int(truth.sum())}
    if truth.sum() >= FEWEST:
        figures |= {
            f"recall at {rate:.0%} false positives": _share(values[truth] > threshold(benign.to_numpy(), rate))
            for rate in RATES
            if len(benign) * rate >= 1
        }
    if limit is not None:
        figures["review threshold"] = limit
        figures["recall at review"] = _share(values[truth] >= limit)
        figures["false positives at review"] = _share(values[~truth] >= limit)
    if truth.sum() >= FEWEST and (~truth).sum() >= FEWEST:
        figures["average precision"] = round(float(average_precision_score(truth, values)), 4)
        figures["calibration error"] = round(calibration_error(values, truth), 4)
    return figures


def _verdicts(rows: pd.DataFrame, categories: Sequence[str]) -> dict[str, dict[str, int]]:
    """How many texts of each category, and of none, got each verdict."""
    groups = {name: rows[rows[name] == 1] for name in categories} | {"harmless": rows[rows["any"] == 0]}
    return {
        name: {verdict: int((group["verdict"] == verdict).sum()) for verdict in VERDICTS}
        for name, group in groups.items()
        if len(group)
    }


def _parts(rows: pd.DataFrame, scores: pd.Series[float], part: pd.Series[str]) -> dict[str, dict[str, Any]]:
    """Per part: texts, and what the verdicts and the score for "any" are worth there."""
    found = {}
    for name, group in rows.groupby(part, observed=True):
        bad, good = group["any"] == 1, group["any"] == 0
        stopped = group["verdict"] != "ALLOW"
        figures = {
            "texts": len(group),
            "violations": int(bad.sum()),
            "violations stopped": _share(stopped[bad].to_numpy()),
            "harmless": int(good.sum()),
            "harmless stopped": _share(stopped[good].to_numpy()),
        }
        if bad.sum() >= FEWEST and good.sum() >= FEWEST:
            known = bad | good
            figures["average precision"] = round(
                float(average_precision_score(bad[known], scores[group.index][known])), 4
            )
        found[str(name)] = figures
    return found


def _length(texts: pd.Series[str]) -> pd.Series[str]:
    """The stretch of characters that each text falls into."""
    names = [f"{low + 1}–{high}" for low, high in itertools.pairwise(_LENGTHS[:-1])]
    return pd.cut(texts.str.len(), _LENGTHS, labels=[*names, f"over {_LENGTHS[-2]:,}"])


def _worst(rows: pd.DataFrame, scores: pd.Series[float], labels: pd.Series[int]) -> dict[str, list[dict[str, Any]]]:
    """The harmless texts with the highest scores and the violations with the lowest."""
    harmless = scores[labels == 0].sort_values(ascending=False).head(_WORST)
    violating = scores[labels == 1].sort_values().head(_WORST)
    return {
        "harmless, scored highest": _told(rows, harmless[harmless >= 0.5]),
        "violating, scored lowest": _told(rows, violating[violating < 0.5]),
    }


def _told(rows: pd.DataFrame, scores: pd.Series[float]) -> list[dict[str, Any]]:
    return [
        {"line": int(rows["line"][at]), "src": rows["src"][at], "score": round(value, 4), "text": rows["text"][at]}
        for at, value in scores.items()
    ]


def _share(flags: np.ndarray) -> float | None:
    """The share of True, None of nothing."""
    return round(float(np.mean(flags)), 4) if len(flags) else None
