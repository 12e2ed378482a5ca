"""From a classifier's labels to categories, and from its probabilities to signals."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from services.core.errors import ConfigurationError, Unavailable
from services.core.policy.categories import CATEGORIES, IMAGE_ONLY, PAIR_ONLY, TEXT_ONLY
from services.core.signals import ModelVersion, Signal
from services.image_filter.detectors import Found

_IGNORED = ""
_ROUNDING = 1e-4  # that a softmax in half precision may leave [0, 1] by


def map_labels(uri: str, own: Sequence[str], given: Mapping[str, str]) -> dict[int, str]:
    """Output → category, for the outputs that are to be read.

    `own` are the network's labels in the order of its outputs; a label that is a category's name needs no entry in
    `given`. Raises ConfigurationError where a label is left over, or a category is none that a picture shows, or none
    of them is `sexual`.
    """
    named = {label: given.get(label, label if label in CATEGORIES else None) for label in own}
    if lost := sorted(label for label, category in named.items() if category is None):
        raise ConfigurationError(f"model {uri}: set what its labels mean, a category or nothing: {', '.join(lost)}")
    allowed = frozenset(CATEGORIES) - IMAGE_ONLY - PAIR_ONLY - TEXT_ONLY - {"sexual.minors"} | {_IGNORED}
    if unknown := sorted({str(category) for category in named.values()} - allowed):
        raise ConfigurationError(f"model {uri}: labels are mapped to {', '.join(unknown)}, which no classifier scores")
    mapped = {index: str(named[label]) for index, label in enumerate(own) if named[label] != _IGNORED}
    if "sexual" not in mapped.values():
        raise ConfigurationError(f"model {uri}: none of its labels is mapped to sexual")
    return mapped


def signals_of(scores: Sequence[float], labels: Mapping[int, str], exclusive: bool, model: ModelVersion) -> Found:
    """One signal a category, without a box: the sum of exclusive labels that share it, the highest of independent ones.

    Raises Unavailable where a score is no probability: what a broken network says is not "nothing found".
    """
    if not all(math.isfinite(score) and -_ROUNDING <= score <= 1 + _ROUNDING for score in scores):
        raise Unavailable(f"{model.source} gave a score that is no probability", reason="BROKEN_DETECTOR")
    best: dict[str, float] = {}
    for index, category in labels.items():
        known = best.get(category, 0.0)
        best[category] = known + scores[index] if exclusive else max(known, scores[index])
    return tuple(Signal(category, min(max(score, 0.0), 1.0), model.source) for category, score in best.items())
