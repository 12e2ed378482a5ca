"""How long the steps of a measurement take."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter


@contextmanager
def timed(timings: dict[str, float], step: str) -> Iterator[None]:
    """Notes in `timings` how many milliseconds the step took; a step that raises is not noted."""
    begin = perf_counter()
    yield
    timings[step] = (perf_counter() - begin) * 1000
