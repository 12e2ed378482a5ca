"""How long one forward pass takes, and how many rows are worth sharing it: measured before the first request."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import structlog

from services.generator.engine import Engine
from services.generator.job import Job
from services.generator.memory import is_out_of_memory
from services.generator.picture import Row

Shape = tuple[int, int, int]

MOST_ROWS = 64
PLATEAU = 0.9  # of the best throughput is reached by the batch that is used
GAIN = 1.05  # below this a batch of twice the rows is no longer worth looking at
PATIENCE_SECONDS = 5.0
REPEATS = 2
DOUBT = 0.9
GROW_AFTER = 200  # full passes without a lack of memory until one row more is tried

log = structlog.get_logger()

_FRESH = 0.1  # weight of the latest pass in the measured rate


def warm_up(engine: Engine, sizes: Sequence[int]) -> dict[Shape, Pace]:
    """The pace of each shape that the model makes; proves on the way that it makes pictures at all."""
    paces: dict[Shape, Pace] = {}
    for size in sizes:
        engine.try_out(size)
        if engine.family.latent_shape(size) in paces:
            continue
        (picture,) = engine.begin(Job("create", "", "", None, None, count=1, size=size, steps=2, seed=0))
        row = next(picture.rows())

        def one_pass(rows: int, row: Row = row) -> None:
            engine.look([row] * rows)
            engine.settle()

        pace = Pace(profile(one_pass))
        log.info("measured", size=size, rows=pace.cap, seconds=round(pace.seconds(pace.cap), 4))
        paces[engine.family.latent_shape(size)] = pace
    return paces


def profile(one_pass: Callable[[int], object]) -> dict[int, float]:
    """Seconds of a pass for 1, 2, 4 … rows, each the best of a few; until more rows bring nothing more, or end the
    memory or the patience. `one_pass` runs one of so many rows; raises what the pass of one row raises.
    The first pass of so many rows, in which a network may be compiled for them, counts for neither.
    """
    seconds: dict[int, float] = {}
    spent, rows = 0.0, 1
    while rows <= MOST_ROWS and spent < PATIENCE_SECONDS:
        try:
            one_pass(rows)
            taken = [_seconds(one_pass, rows) for _ in range(REPEATS)]
            spent += sum(taken)
            seconds[rows] = min(taken)
        except Exception as error:
            if rows == 1 or not is_out_of_memory(error):
                raise
            break
        if rows > 2 and rows / seconds[rows] < GAIN * max(old / seconds[old] for old in seconds if old < rows / 2):
            break
        rows *= 2
    return seconds


def _seconds(one_pass: Callable[[int], object], rows: int) -> float:
    begun = time.perf_counter()
    one_pass(rows)
    return time.perf_counter() - begun


class Pace:
    """The profile of one shape, what passes take now, and the cap: how many rows share a pass."""

    def __init__(self, seconds: Mapping[int, float]) -> None:
        """`seconds` by rows, as `profile` gives it."""
        self._rows, self._seconds = list(seconds), list(seconds.values())
        self._now = 1.0
        self._full_passes = 0
        best = max(rows / taken for rows, taken in seconds.items())
        self.best_cap = next(rows for rows, taken in seconds.items() if rows / taken >= PLATEAU * best)
        self.cap = self.best_cap

    def seconds(self, rows: int) -> float:
        """How long a pass of so many rows takes now; several passes where they are more than the cap."""
        full, rest = divmod(rows, self.cap)
        return self._now * (full * self._profiled(self.cap) + (self._profiled(rest) if rest else 0.0))

    @property
    def seconds_a_row(self) -> float:
        """What one row of a full pass takes now."""
        return self.seconds(self.cap) / self.cap

    def passed(self, rows: int, seconds: float) -> None:
        """Learns from what one step of so many rows took, with all that belongs to it."""
        self._now += _FRESH * (seconds / (self.seconds(rows) / self._now) - self._now)
        if self.cap < self.best_cap and rows >= self.cap:
            self._full_passes += 1
            if self._full_passes >= GROW_AFTER:
                self.cap, self._full_passes = self.cap + 1, 0

    def rest(self) -> None:
        """The machine has nothing to do: that it was slow a while ago says nothing about the next request."""
        self._now = min(self._now, 1.0)

    def doubt(self) -> None:
        """Nothing runs, and still a request was refused for its deadline: if that goes on, one is let in to measure."""
        self._now *= DOUBT

    def shrink(self, rows: int) -> bool:
        """After memory lacked for a step of so many rows: halves the cap; false where it is one row already."""
        before, self._full_passes = self.cap, 0
        self.cap = max(1, min(self.cap, rows) // 2)
        return self.cap < before

    def _profiled(self, rows: int) -> float:
        return float(np.interp(rows, self._rows, self._seconds))
