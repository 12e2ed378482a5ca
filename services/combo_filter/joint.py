"""What both halves come to together: category signals that neither half could give alone."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib import resources

import yaml

from services.core.policy.concepts import is_concept
from services.core.policy.scores import settled
from services.core.signals import Signal

SOURCE = "pair-joint/1"


@dataclass(frozen=True, slots=True)
class Weight:
    """The category that a concept of the prompt belongs to on a photograph, and how surely, 0 … 1."""

    category: str
    weight: float


@cache
def _weights() -> dict[str, Weight]:
    text = (resources.files("services.combo_filter") / "data" / "joint.yaml").read_text(encoding="utf-8")
    return {concept: Weight(**entry) for concept, entry in yaml.safe_load(text).items()}


def photo_score(signals: Iterable[Signal]) -> float:
    """The probability that the picture is a photograph; 1 where nobody measured it or the score is no probability."""
    return max((settled(signal).score for signal in signals if signal.category == "concept.photo"), default=1.0)


def combine(prompt_concepts: Iterable[Signal], photo: float) -> tuple[Signal, ...]:
    """One category signal for every finding in the prompt, as sure as the picture is a photograph."""
    weights = _weights()
    return tuple(
        Signal(
            weights[found.category].category,
            weights[found.category].weight * found.score * photo,
            f"{SOURCE}:{found.category}",
            found.evidence,
        )
        for found in prompt_concepts
        if found.category in weights
    )


def halves(prompt_signals: Iterable[Signal], upload_signals: Iterable[Signal]) -> tuple[Signal, ...]:
    """Both halves' signals as a pair's rules may ask for them: measurements as they are, the rest by its half.

    A category's highest score becomes `concept.prompt.<category>` or `concept.upload.<category>`, which no threshold
    judges again: each half has been judged by its own.
    """
    found: list[Signal] = []
    for half, signals in (("prompt", prompt_signals), ("upload", upload_signals)):
        best: dict[str, Signal] = {}
        for signal in map(settled, signals):
            if is_concept(signal.category):
                found.append(signal)
            elif signal.category not in best or signal.score > best[signal.category].score:
                best[signal.category] = signal
        found += [Signal(f"concept.{half}.{s.category}", s.score, s.source, s.evidence) for s in best.values()]
    return tuple(found)
