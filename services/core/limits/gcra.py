"""The Generic Cell Rate Algorithm on plain numbers: a leaky bucket whose whole state is one moment.

ITU-T I.371 and ATM Forum Traffic Management 4.0 (virtual scheduling). The state is the theoretical arrival time `tat`,
in seconds of the keeper's clock: the moment at which all of the bucket will be there again. 0 stands for a full one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

# Seconds since 1970 in a float are told apart from 2.4e-7 on: what fits exactly must not fail on the rounding of some
# hundred steps. Who comes so much too early is let in, and counted.
TOLERANCE_SECONDS = 1e-4


@dataclass(frozen=True, slots=True)
class Bucket:
    """`burst` units may be taken at once; one comes back every `period` seconds."""

    period: float
    burst: float

    @property
    def depth(self) -> float:
        """Seconds in which an empty bucket fills."""
        return self.period * self.burst

    def take(self, tat: float, units: float, now: float) -> float:
        """The state after `units` were taken at `now`, whether they fit or not; negative units give back."""
        return self._base(tat, now) + units * self.period

    def fits(self, tat: float, units: float, now: float) -> bool:
        """Whether `units` may be taken at `now`."""
        return self.take(tat, units, now) <= now + self.depth + TOLERANCE_SECONDS

    def wait(self, tat: float, units: float, now: float) -> float:
        """Seconds until `units` fit if nobody takes any meanwhile; infinite where they never do."""
        if units > self.burst:
            return math.inf
        return 0.0 if self.fits(tat, units, now) else self.take(tat, units, now) - self.depth - now

    def left(self, tat: float, now: float) -> int:
        """Whole units that may be taken at `now`."""
        free = self.depth - (self._base(tat, now) - now)
        return max(0, math.floor((free + TOLERANCE_SECONDS) / self.period))

    def _base(self, tat: float, now: float) -> float:
        # No state lies further ahead than `depth`, unless the clock was set back since. Up to twice that it counts,
        # so that a clock that trembles opens nothing; beyond it the state says nothing and the bucket is full.
        return now if tat > now + 2 * self.depth else max(tat, now)
