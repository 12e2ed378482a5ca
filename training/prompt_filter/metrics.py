"""Figures of a model on texts that it was not trained on."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import average_precision_score

from training.prompt_filter import data

HARMLESS = ("coco", "t2icomp", "diffdb", "long")
REVIEW, BLOCK = 0.5, 0.8
# The single-word terms of Dixon et al. 2018, whose templates `bias_madlibs_77k` are.
IDENTITIES = re.findall(
    r"\w+",
    """
    lesbian gay bisexual transgender trans queer lgbt homosexual straight heterosexual male female nonbinary
    african black white european hispanic latino latina mexican canadian american asian indian chinese japanese
    christian muslim jewish buddhist catholic protestant sikh taoist old older young younger elderly blind deaf
    paralyzed
    """,
)
_BINS = 10
_FEWEST = 10


def calibration_error(scores: np.ndarray, truth: np.ndarray) -> float:
    """Expected calibration error over ten bins of equal width (Guo et al. 2017), 0…1."""
    bins = np.minimum((scores * _BINS).astype(int), _BINS - 1)
    gaps = [
        abs(scores[bins == index].mean() - truth[bins == index].mean()) * (bins == index).mean()
        for index in range(_BINS)
        if (bins == index).any()
    ]
    return float(sum(gaps))


def report(rows: pd.DataFrame, scores: np.ndarray) -> dict[str, Any]:
    """Per category and per source on the test part and the unseen sources; `scores` (rows, categories)."""
    labels = data.labels(rows)
    test, unseen = rows["part"].eq("test").to_numpy(), rows["part"].eq("unseen").to_numpy()
    harmless = test & rows["src"].isin(HARMLESS).to_numpy() & ~(labels == 1).any(axis=1)
    categories = {}
    for column, category in enumerate(data.CATEGORIES):
        # What one false alarm in a hundred ordinary prompts costs in recall.
        threshold = float(np.quantile(scores[harmless, column], 0.99))
        categories[category] = {
            name: _category(scores[part, column], labels[part, column], threshold)
            for name, part in (("test", test), ("unseen sources", unseen))
        }
    sources = {}
    for source, part in rows[test | unseen].groupby("src"):
        worst = scores[part.index].max(axis=1)
        bad = (labels[part.index] == 1).any(axis=1)
        good = (labels[part.index] == 0).any(axis=1) & ~bad
        sources[str(source)] = {
            "texts": len(part),
            "violations found at 0.5": _share(worst[bad] >= REVIEW),
            "harmless flagged at 0.5": _share(worst[good] >= REVIEW),
            "harmless flagged at 0.8": _share(worst[good] >= BLOCK),
        }
    return {"categories": categories, "sources": sources}


def _category(scores: np.ndarray, labels: np.ndarray, threshold: float) -> dict[str, Any]:
    """Figures of one category over the rows where its label is known."""
    known = labels >= 0
    scores, truth = scores[known], labels[known] == 1
    if truth.sum() < _FEWEST:
        return {"violations": int(truth.sum())}
    figures = {
        "violations": int(truth.sum()),
        "recall at 1% false positives on ordinary prompts": _share(scores[truth] >= threshold),
        "recall at 0.5": _share(scores[truth] >= REVIEW),
    }
    if (~truth).sum() >= _FEWEST:
        figures["average precision"] = round(float(average_precision_score(truth, scores)), 3)
        figures["calibration error"] = round(calibration_error(scores, truth), 3)
    return figures


def _share(flags: np.ndarray) -> float | None:
    """The share of True, None of nothing."""
    return round(float(np.mean(flags)), 4) if len(flags) else None


def fairness(texts: list[str], scores: np.ndarray) -> dict[str, Any]:
    """How often harmless sentences that name an identity are flagged, overall and for the five worst terms.

    `scores` float (texts,): the highest of all categories.
    """
    flagged = scores >= REVIEW
    by_term = {
        term: _share(flagged[np.array([term in f" {text.lower()} ".replace(".", " ").split() for text in texts])])
        for term in IDENTITIES
    }
    named = {term: share for term, share in by_term.items() if share is not None}
    worst = dict(sorted(named.items(), key=lambda item: -item[1])[:5])
    gap = round(max(named.values()) - min(named.values()), 4)
    return {
        "sentences": len(texts),
        "flagged at 0.5": _share(flagged),
        "largest gap between terms": gap,
        "worst": worst,
    }
