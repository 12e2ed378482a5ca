"""Signals made of others: a face that may be a child's beside anything sexual is `sexual.minors`.

No model is trained for this category and no picture of it is kept. Where one half is sure, a hint of the other is
enough; thresholds on the result are low (see the policy's floor).
"""

from __future__ import annotations

from math import sqrt

from services.core.signals import Signal
from services.image_filter.detectors import Found

SOURCE = "composed-picture/1"
CHILD = "concept.child"
_LEAST = 0.1  # of either half: below it nothing was seen


def minors(signals: Found) -> Found:
    """`signals` with the score of `sexual.minors`: the geometric mean of the highest sexual score and P(child)."""
    sexual = max((signal.score for signal in signals if signal.category == "sexual"), default=0.0)
    children = [signal for signal in signals if signal.category == CHILD]
    child = max(children, key=lambda signal: signal.score, default=None)
    if child is None or min(sexual, child.score) < _LEAST:
        return (*signals, Signal("sexual.minors", 0.0, SOURCE))
    return (*signals, Signal("sexual.minors", min(1.0, sqrt(sexual * child.score)), SOURCE, child.evidence))
