"""What thresholds people's decisions would have wanted, category by category. Pure; the rows are handed in.

Only what was reviewed or appealed is known: below `review` nobody looked, so a wish to raise a threshold rests on
evidence and a wish to lower it does not appear here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

from services.core.policy.categories import Stage
from services.core.policy.document import Policy
from services.core.store.lessons import Label
from services.core.verdicts import Tier

FEWEST = 20  # decisions on one side of a threshold, before anything is said of it
FAULT = 0.05  # share of decisions on one side that may say otherwise
STRICTEST_TIER: Tier = "new"


@dataclass(frozen=True, slots=True)
class Wanted:
    """One category at one stage: what people decided, the thresholds in force and those that the decisions would want.

    `review` would spare people cases that they release nearly always; from `block` on they uphold nearly always. None
    where too few decisions say so. `granted` counts appeals that were, among `appealed`.
    """

    category: str
    stage: Stage
    decided: int
    upheld: int
    appealed: int
    granted: int
    review_now: float
    block_now: float
    review: float | None
    block: float | None


def wanted(labels: Iterable[Label], policy: Policy) -> list[Wanted]:
    """One row for each category and stage that was decided at all, the most decided first."""
    ordered = sorted(labels, key=lambda label: (label.category, label.stage))
    rows = [
        _wanted(category, stage, list(group), policy)
        for (category, stage), group in groupby(ordered, key=lambda label: (label.category, label.stage))
    ]
    return sorted(rows, key=lambda row: (-row.decided, row.category, row.stage))


def _wanted(category: str, stage: Stage, labels: Sequence[Label], policy: Policy) -> Wanted:
    limit = policy.limits[category, stage, STRICTEST_TIER]
    appeals = [label for label in labels if label.appeal]
    return Wanted(
        category=category,
        stage=stage,
        decided=len(labels),
        upheld=sum(label.upheld for label in labels),
        appealed=len(appeals),
        granted=sum(not label.upheld for label in appeals),
        review_now=limit.review,
        block_now=limit.block,
        review=raise_review_to(labels),
        block=block_from(labels),
    )


def raise_review_to(labels: Sequence[Label]) -> float | None:
    """The highest score below which people upheld at most `FAULT` of at least `FEWEST` cases; None where there is none.

    It is the score of a case itself, so that the cases below it are those strictly below.
    """
    ordered = sorted(labels, key=lambda label: label.score)
    best, upheld = None, 0
    for count, label in enumerate(ordered):
        boundary = count == 0 or ordered[count - 1].score < label.score
        if boundary and count >= FEWEST and upheld <= FAULT * count:
            best = label.score
        upheld += label.upheld
    return best


def block_from(labels: Sequence[Label]) -> float | None:
    """The lowest score from which on people released at most `FAULT` of at least `FEWEST` cases; None likewise."""
    ordered = sorted(labels, key=lambda label: -label.score)
    best, released = None, 0
    for place, label in enumerate(ordered):
        released += not label.upheld
        count = place + 1
        boundary = count == len(ordered) or ordered[count].score < label.score
        if boundary and count >= FEWEST and released <= FAULT * count:
            best = label.score
    return best
