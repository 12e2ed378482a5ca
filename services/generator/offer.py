"""What a generator offers, whoever renders behind it: requests are checked against this, and callers are told it."""

from __future__ import annotations

from dataclasses import dataclass

from services.core.signals import ModelVersion
from services.generator.job import Operation


@dataclass(frozen=True, slots=True)
class Offer:
    """The model, and what may be asked of it.

    `sizes` are sides in pixels and begin with the default; `steps` and `guidance` hold where a request names none;
    `words` are all that a closed vocabulary knows, empty for an open one.
    """

    model: ModelVersion
    operations: tuple[Operation, ...]
    sizes: tuple[int, ...]
    steps: int
    guidance: float
    words: tuple[str, ...]
    device: str
    capability: str
