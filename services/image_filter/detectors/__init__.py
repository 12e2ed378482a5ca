"""What looks at pictures. Each detector measures; none decides, and none swallows its own failure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from services.core.imaging import Rgb
from services.core.signals import ModelVersion, Signal

Found = tuple[Signal, ...]


class Detector(Protocol):
    """One way to look at pictures.

    `model` holds its name, version and digest. `licence` is that of the model, as SPDX writes it. `categories` are all
    that it may speak of. Names beginning with `concept.` are no violations but what the picture holds (`concept.face`,
    `concept.person`, `concept.photo`); only rules read them.
    """

    model: ModelVersion
    licence: str
    categories: frozenset[str]

    def detect(self, batch: Sequence[Rgb], found: Sequence[Found]) -> list[Found]:
        """Signals of each picture ((h, w, 3) uint8); `found` is what earlier detectors saw in the same pictures.

        Raises Unavailable where it cannot look: never an empty answer in place of an error.
        """
        ...

    def close(self) -> None:
        """Give back what it holds."""
        ...


def tempered(score: float, too_sure: float) -> float:
    """The probability behind the `score` of a detector whose odds are `too_sure` times too high."""
    odds = score / (1 - score + 1e-6) / too_sure
    return odds / (1 + odds)
