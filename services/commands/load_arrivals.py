"""When requests arrive: an open model, in which nobody waits for an answer before the next one comes.

Users of a platform do not know of each other, so that arrivals are a Poisson process and do not slow down when the
house does. A closed model (so many clients, each of which waits) measures another thing, and a kinder one: B.
Schroeder, A. Wierman, M. Harchol-Balter, "Open Versus Closed: A Cautionary Tale", NSDI 2006.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import pairwise
from random import Random


def poisson(rate: float, seconds: float, random: Random) -> Iterator[float]:
    """Seconds from the start at which requests arrive, `rate` a second on average, for so many `seconds`.

    The pauses between arrivals are exponential: what has gone before says nothing of what comes.
    """
    if rate <= 0:
        raise ValueError("a rate is more than nothing")
    at = random.expovariate(rate)
    while at < seconds:
        yield at
        at += random.expovariate(rate)


def recorded_times(times: Iterable[float]) -> Iterator[float]:
    """Times as they were recorded, counted from the first; raises ValueError where they go back."""
    kept = list(times)
    if any(later < earlier for earlier, later in pairwise(kept)):
        raise ValueError("recorded times must not go back")
    return (at - kept[0] for at in kept)
