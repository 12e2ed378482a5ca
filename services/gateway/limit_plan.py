"""What a batch of calls will ask of its limits, laid beside what is known of them; no SQL and no clock."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from services.core.limits.charges import Charge

SLOT_WAIT_SECONDS = 1.0  # when a running call ends, nobody knows


@dataclass(frozen=True, slots=True)
class Known:
    """Where a bucket stands at least, or how many calls the other gateways run; no longer sure after `until`."""

    number: float
    until: float


@dataclass(slots=True)
class Plan:
    """What a batch will ask for, laid beside what is known."""

    known: Mapping[str, Known]
    mine: Mapping[str, int]
    ours: float  # our clock
    now: float  # Postgres' clock
    tats: dict[str, float] = field(default_factory=dict[str, float])
    costs: dict[str, tuple[float, float]] = field(default_factory=dict[str, tuple[float, float]])
    slots: dict[str, int] = field(default_factory=dict[str, int])
    most: dict[str, int] = field(default_factory=dict[str, int])

    def fit(self, charges: Sequence[Charge]) -> tuple[Charge, ...] | None:
        """Counts in what fits of one call: all that is enforced, or nothing of it (None)."""
        taken = []
        for charge in charges:
            if self.wait(charge) <= 0:
                taken.append(charge)
            elif charge.limit.enforced:
                return None
        for charge in taken:
            self._add(charge)
        return tuple(taken)

    def wait(self, charge: Charge) -> float:
        """Seconds until it may fit, as far as is known; infinite where it never does."""
        bucket = charge.limit.bucket
        if bucket is None:
            running = self._known(charge.key) + self.mine.get(charge.key, 0) + self.slots.get(charge.key, 0)
            return 0.0 if running < charge.limit.limit else SLOT_WAIT_SECONDS
        return bucket.wait(self.tat(charge.key), charge.units, self.now)

    def _add(self, charge: Charge) -> None:
        bucket, key = charge.limit.bucket, charge.key
        if bucket is None:
            self.slots[key] = self.slots.get(key, 0) + 1
            self.most[key] = charge.limit.limit
            return
        self.tats[key] = bucket.take(self.tat(key), charge.units, self.now)
        before, _ = self.costs.get(key, (0.0, 0.0))
        self.costs[key] = (before + charge.units * bucket.period, bucket.depth)

    def tat(self, key: str) -> float:
        """Where a bucket stands, as far as is known, after what was counted in."""
        tat = self.tats.get(key)
        return self._known(key) if tat is None else tat

    def _known(self, key: str) -> float:
        known = self.known.get(key)
        return 0.0 if known is None or known.until < self.ours else known.number
