"""How many calls that look at pictures or draw them may run at once: as many as do not make each other slow.

What the rooms behind bear depends on their machines, models and number, so it is learnt and not set: while calls take
little longer than one alone, more are let in; when they take several times as long, fewer. Whoever finds no place is
told at once to come again, before anything was done for them. Additive increase, multiplicative decrease, as TCP has it
(D. Chiu and R. Jain, 1989), on latency, as in Netflix's https://github.com/Netflix/concurrency-limits.

Only creations from text make the limit smaller: they take as long as each other. How long an upload takes is up to who
sends it, so a picture that is slow to look at makes nothing smaller by itself.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from services.core import telemetry
from services.core.errors import Exhausted

FIRST, LEAST = 16, 8
DECREASE = 0.8
DRIFT = 0.05  # of the way: how fast what a call takes alone is found to have become longer
LEAST_HINT_SECONDS = 1.0


@dataclass(slots=True)
class Passage:
    """One call that was let in. `whole` says that it went all its way, so that its time tells something."""

    whole: bool = False


class Pressure:
    """Lets calls in as far as they are borne."""

    def __init__(self, most: int, slowdown: float, clock: Callable[[], float] = time.monotonic) -> None:
        """`most` bounds what may be learnt; calls may take `slowdown` times as long as one alone."""
        self._most = most
        self._slowdown = slowdown
        self._clock = clock
        self._limit = float(min(FIRST, most))
        self._running = 0
        self._alone: dict[Hashable, float] = {}  # seconds by kind of call
        self._decreased = -float("inf")
        self._slow_start = True
        telemetry.ADMISSION_LIMIT.set(self.limit)

    @property
    def limit(self) -> int:
        """Calls that may run at once, as it is known now."""
        return int(self._limit)

    @contextmanager
    def running(self, kind: Hashable | None) -> Iterator[Passage]:
        """A place for the length of a block; `kind` names calls that take as long as each other alone, None has none.

        Raises Exhausted where there is none.
        """
        if self._running >= self.limit:
            hint = max(LEAST_HINT_SECONDS, self._slowdown * self._alone.get(kind, 0.0))
            raise Exhausted("as many calls run as are borne now; try again", reason="BUSY", retry_after=hint)
        self._running += 1
        beside = self._running
        began, passage = self._clock(), Passage()
        try:
            yield passage
        finally:
            self._running -= 1
            self._learn(kind, self._clock() - began, passage, beside)

    def _learn(self, kind: Hashable | None, taken: float, passage: Passage, beside: int) -> None:
        """`beside` calls ran when it was let in, itself among them."""
        alone = self._alone.get(kind)
        # Where few run, it is not their number that makes them slow, and they need no more room.
        crowded = beside > self._limit / 2
        if crowded and alone is not None and taken > self._slowdown * alone:
            self._decrease(alone)
        elif crowded and passage.whole:
            self._limit = min(self._most, self._limit + (1.0 if self._slow_start else 1.0 / self._limit))
        if passage.whole and kind is not None:
            if alone is None or taken < alone:
                self._alone[kind] = taken
            elif beside == 1:
                self._alone[kind] = alone + DRIFT * (taken - alone)
        telemetry.ADMISSION_LIMIT.set(self.limit)

    def _decrease(self, pause: float) -> None:
        """At most once in the time of a call: those that run then were let in before."""
        now = self._clock()
        if now - self._decreased >= pause:
            self._limit = max(float(min(LEAST, self._most)), self._limit * DECREASE)
            self._decreased, self._slow_start = now, False
