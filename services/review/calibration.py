"""How far scores are from what people make of what was scored, category by category. Pure; the rows are handed in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from services.core.policy.categories import Stage
from services.core.store.lessons import Bin


@dataclass(frozen=True, slots=True)
class Calibration:
    """One category at one stage: settled scores, their mean, the share upheld, and the expected calibration error.

    The error is that of Naeini, Cooper and Hauskrecht (2015), 0 … 1: the mean distance of score and share over tenths
    of the score, weighted by how many scores lie there.
    """

    stage: Stage
    category: str
    count: int
    score: float
    upheld: float
    error: float


def calibration(bins: Sequence[Bin]) -> list[Calibration]:
    """A row for each stage and category of `bins`, which are ordered by both."""
    return [_row(stage, category, list(group)) for (stage, category), group in groupby(bins, _of)]


def _of(one: Bin) -> tuple[Stage, str]:
    return one.stage, one.category


def _row(stage: Stage, category: str, bins: Sequence[Bin]) -> Calibration:
    count = sum(one.count for one in bins)
    return Calibration(
        stage,
        category,
        count,
        sum(one.count * one.score for one in bins) / count,
        sum(one.count * one.upheld for one in bins) / count,
        sum(one.count * abs(one.score - one.upheld) for one in bins) / count,
    )
