"""A candidate beside the model in force: the figures by which a person decides whether to promote it."""

from __future__ import annotations

import random
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from training.prompt_filter import data, fairness, texts
from training.prompt_filter.features import Readings

# A candidate that flags so much more of the harmless texts than the model in force, or loses so much (and more than
# one) of the violations of a category, is not put on trial by itself.
MOST_WORSE, MOST_LOST = 0.005, 0.05
# How many texts are read; a thousand take some ten seconds on one busy core.
_OWN, _CONTRAST, _IDENTITY, _DEV = 1_300, 900, 300, 4_000
_SEED = 7


def own_texts() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Texts of our own with their labels, `text` and a column a category: to hold a candidate back, and to judge it.

    The first are of `training/texts` and `training/contrast`, the second of other groups of `training/texts` and the
    harmless ones of `training/fairness`, which nothing is ever fitted on.
    """
    own = _sample(texts.read(data.CATEGORIES), _OWN)
    held = own["group"].map(lambda group: zlib.crc32(str(group).encode()) % 2 == 0)
    contrast = _sample(data._contrast(random.Random(_SEED)), _CONTRAST)
    sentences = fairness.sentences()
    identity = _sample(sentences[~sentences["hateful"]], _IDENTITY).assign(**dict.fromkeys(data.CATEGORIES, 0))
    return pd.concat([own[held], contrast]), pd.concat([own[~held], identity])


def _sample(rows: pd.DataFrame, most: int) -> pd.DataFrame:
    return rows.sample(min(most, len(rows)), random_state=_SEED)


def dev_rows(folder: Path) -> pd.DataFrame:
    """Texts of a data folder that no training has seen, in the same form."""
    rows = data.gather(folder, _SEED)
    return _sample(rows[data.split(rows).isin(["test", "unseen"])], _DEV)


def by_category(
    rows: Readings, labels: np.ndarray, steps: np.ndarray, bars: np.ndarray, categories: Sequence[str]
) -> dict[str, Any]:
    """Of each category with labels: how many violations and others, and how many of each both models flag."""
    found = rows.scores() >= bars, rows.scores(steps) >= bars
    return dict(_figures(found, labels, categories))


def _figures(
    found: tuple[np.ndarray, np.ndarray], labels: np.ndarray, categories: Sequence[str]
) -> Iterator[tuple[str, dict[str, Any]]]:
    for column, category in enumerate(categories):
        figures = {}
        for name, label in (("violations", 1), ("others", 0)):
            part = labels[:, column] == label
            active, candidate = (int(flags[part, column].sum()) for flags in found)
            if part.any():
                figures[name] = {"texts": int(part.sum()), "active": active, "candidate": candidate}
        if figures:
            yield category, figures


def on_harmless(rows: Readings, labels: np.ndarray, steps: np.ndarray, bars: np.ndarray) -> dict[str, Any]:
    """The shares of harmless texts that each model flags."""
    harmless = (labels == 0).all(axis=1)
    active, candidate = (
        ((scores[harmless] >= bars).any(axis=1)).mean() for scores in (rows.scores(), rows.scores(steps))
    )
    return {"texts": int(harmless.sum()), "active": round(float(active), 4), "candidate": round(float(candidate), 4)}


def is_fit(harmless: dict[str, Any], by_category: dict[str, Any]) -> bool:
    """Whether figures of `on_harmless` and `by_category` let a candidate go on trial."""
    found = [figures["violations"] for figures in by_category.values() if "violations" in figures]
    lost = any(part["active"] - part["candidate"] > max(1, MOST_LOST * part["texts"]) for part in found)
    return not lost and bool(harmless["candidate"] - harmless["active"] <= MOST_WORSE)
