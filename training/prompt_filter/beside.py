"""A candidate beside the model in force: the figures by which a person decides whether to promote it."""

from __future__ import annotations

import random
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from training.prompt_filter import adapt, data, fairness, texts
from training.prompt_filter.features import Readings

# A candidate that flags more of the harmless texts than this above the model in force is not put on trial by itself.
MOST_WORSE = 0.005
# How many texts are read; a thousand take some ten seconds on one busy core.
_OWN, _CONTRAST, _IDENTITY, _DEV = 1_000, 700, 300, 4_000
_SEED = 7


def harmless_texts() -> tuple[list[str], list[str]]:
    """Harmless texts of our own: those that hold a candidate back, and others that judge it.

    The first are of `training/texts` and `training/contrast`, the second of other groups of `training/texts` and of
    `training/fairness`, which nothing is ever fitted on.
    """
    own = _sample(_harmless(texts.read(data.CATEGORIES)), _OWN)
    held = own["group"].map(lambda group: zlib.crc32(str(group).encode()) % 2 == 0)
    contrast = _sample(_harmless(data._contrast(random.Random(_SEED))), _CONTRAST)
    sentences = fairness.sentences()
    identity = _sample(sentences[~sentences["hateful"]], _IDENTITY)
    return [*own["text"][held], *contrast["text"]], [*own["text"][~held], *identity["text"]]


def _harmless(rows: pd.DataFrame) -> pd.DataFrame:
    return rows[(rows[list(data.CATEGORIES)] == 0).all(axis=1)]


def _sample(rows: pd.DataFrame, most: int) -> pd.DataFrame:
    return rows.sample(min(most, len(rows)), random_state=_SEED)


def dev_rows(folder: Path, categories: Sequence[str]) -> tuple[list[str], np.ndarray]:
    """Texts of a data folder that no training has seen, with their labels (texts, categories)."""
    rows = data.gather(folder, _SEED)
    rows = rows[data.split(rows).isin(["test", "unseen"])]
    rows = _sample(rows, _DEV)
    return rows["text"].tolist(), rows[list(categories)].to_numpy(np.int8)


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


def on_harmless(rows: Readings, steps: np.ndarray, bars: np.ndarray) -> dict[str, Any]:
    """The shares of harmless texts that each model flags."""
    active, candidate = adapt.flagged(rows.scores(), bars), adapt.flagged(rows.scores(steps), bars)
    return {"texts": rows.count, "active": round(active, 4), "candidate": round(candidate, 4)}
