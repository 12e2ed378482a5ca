"""What a score counts as: the one place that knows what to do with one that is no probability."""

from __future__ import annotations

import math
from dataclasses import replace

from services.core.signals import Signal


def settled(signal: Signal) -> Signal:
    """The signal itself; one whose score is NaN, below 0 or above 1 is a broken detector's, and counts as 1."""
    sound = math.isfinite(signal.score) and 0 <= signal.score <= 1
    return signal if sound else replace(signal, score=1.0)
