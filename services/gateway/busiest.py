"""How large a share of the latest requests one account makes; whose it is, it does not tell.

Counts as Misra and Gries (1982) do, in memory that does not grow with the number of accounts, and halves them all every
ten minutes, so that what is long past weighs little.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable

MOST_COUNTED = 1_000
HALF_LIFE_SECONDS = 600.0
LEAST_REQUESTS = 50.0  # fewer say nothing of a share


class Busiest:
    """Sees who asks; `share` errs by one in 1,000 at most, to the low side. `clock` gives seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._counts: dict[Hashable, float] = {}
        self._seen = 0.0
        self._halved = clock()

    def see(self, who: Hashable) -> None:
        """Counts one request."""
        self._fade()
        self._seen += 1
        if who in self._counts or len(self._counts) < MOST_COUNTED:
            self._counts[who] = self._counts.get(who, 0.0) + 1
        else:
            self._counts = {known: count - 1 for known, count in self._counts.items() if count > 1}

    def share(self) -> float:
        """That of whoever asked most, 0…1; 0 while fewer than 50 requests weigh in."""
        self._fade()
        return max(self._counts.values(), default=0.0) / self._seen if self._seen >= LEAST_REQUESTS else 0.0

    def _fade(self) -> None:
        passed = int((self._clock() - self._halved) // HALF_LIFE_SECONDS)
        if passed > 0:
            self._halved += passed * HALF_LIFE_SECONDS
            self._seen *= 0.5**passed
            self._counts = {who: count * 0.5**passed for who, count in self._counts.items()}
