"""The same requests, served in three ways: one at a time, in batches of requests, and in batches of steps."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import wait
from dataclasses import dataclass, field

import numpy as np

from services.generator.engine import UNWATCHED, Engine
from services.generator.job import Job, Rgb
from services.generator.pace import Pace, Shape
from services.generator.picture import Picture
from services.generator.render_queue import RenderQueue
from services.generator.ticket import Progress

COLOURS = ("red", "green", "blue", "yellow", "purple", "orange")
SHAPES = ("circle", "square", "triangle", "star", "ring", "cross")
ENDLESS_SECONDS = 3600.0


@dataclass(frozen=True, slots=True)
class Arrival:
    """A request and when it comes, in seconds from the start."""

    job: Job
    at: float


@dataclass(slots=True)
class Served:
    """Seconds from arrival to answer of each request, in order; all that they took; their pictures."""

    latencies: list[float] = field(default_factory=list)
    seconds: float = 0.0
    pictures: list[list[Rgb]] = field(default_factory=list)

    @property
    def mean_latency(self) -> float:
        """In seconds."""
        return float(np.mean(self.latencies))


Serve = Callable[[Engine, Mapping[Shape, Pace], Sequence[Arrival]], Served]


def job(engine: Engine, number: int, steps: int = 0, count: int = 1) -> Job:
    """One of many different requests."""
    card = engine.family.card
    words = f"a {COLOURS[number % 6]} {SHAPES[number // 6 % 6]} on a white background"
    return Job("create", words, "", None, None, count, card.size, steps or card.steps, seed=number)


def one_at_a_time(engine: Engine, _paces: Mapping[Shape, Pace], arrivals: Sequence[Arrival]) -> Served:
    """As a server around `pipe(prompt)` with a lock does it."""
    served, begun = Served(), time.perf_counter()
    for arrival in arrivals:
        _sleep_until(begun + arrival.at)
        served.pictures.append(engine.render(arrival.job, UNWATCHED))
        served.latencies.append(time.perf_counter() - begun - arrival.at)
    served.seconds = time.perf_counter() - begun
    return served


def request_level(engine: Engine, paces: Mapping[Shape, Pace], arrivals: Sequence[Arrival]) -> Served:
    """Dynamic batching, as inference servers offer it: all that wait begin together, and are answered together."""
    (pace,) = paces.values()
    served, waiting, begun = Served(), list(arrivals), time.perf_counter()
    while waiting:
        _sleep_until(begun + waiting[0].at)
        here = [arrival for arrival in waiting if begun + arrival.at <= time.perf_counter()]
        most = max(1, pace.best_cap // max(1, engine.size_up(here[0].job)[1]))
        batch, waiting = here[:most], waiting[len(here[:most]) :]
        made = [engine.begin(arrival.job) for arrival in batch]
        while active := [picture for pictures in made for picture in pictures if not picture.finished]:
            engine.step(active)
        served.pictures += [_finished(engine, one.job, pictures) for one, pictures in zip(batch, made, strict=True)]
        served.latencies += [time.perf_counter() - begun - arrival.at for arrival in batch]
    served.seconds = time.perf_counter() - begun
    return served


def step_level(engine: Engine, paces: Mapping[Shape, Pace], arrivals: Sequence[Arrival]) -> Served:
    """The service's own queue."""
    queue = RenderQueue(engine, paces, limit=10_000, pixel_limit=10**12)
    begun = time.perf_counter()
    ended = [0.0] * len(arrivals)
    tickets = []
    for place, arrival in enumerate(arrivals):
        _sleep_until(begun + arrival.at)
        ticket = queue.submit(arrival.job, "bench", "new", ENDLESS_SECONDS, _silent)
        ticket.result.add_done_callback(lambda _done, place=place: ended.__setitem__(place, time.perf_counter()))
        tickets.append(ticket)
    wait([ticket.result for ticket in tickets])
    seconds = time.perf_counter() - begun
    queue.close()
    return Served(
        [end - begun - arrival.at for end, arrival in zip(ended, arrivals, strict=True)],
        seconds,
        [ticket.result.result().pictures for ticket in tickets],
    )


def difference(left: Sequence[Sequence[Rgb]], right: Sequence[Sequence[Rgb]]) -> int:
    """Grey levels, the most over all pixels of all pictures."""
    pairs = [(a, b) for one, other in zip(left, right, strict=True) for a, b in zip(one, other, strict=True)]
    return max(int(np.abs(a.astype(int) - b.astype(int)).max()) for a, b in pairs)


def _finished(engine: Engine, job: Job, pictures: Sequence[Picture]) -> list[Rgb]:
    return [engine.finish(job, picture) for picture in pictures]


def _silent(_progress: Progress) -> None:
    """Listens to nothing."""


def _sleep_until(when: float) -> None:
    time.sleep(max(0.0, when - time.perf_counter()))
