"""How much sooner requests are answered when they share steps."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from benchmarks.rendering.loads import Arrival, Serve, difference, job, one_at_a_time, request_level, step_level
from services.generator.engine import Engine
from services.generator.pace import Pace, Shape, warm_up

REQUESTS = 12
ROUNDS = 3  # one after the other, so that whatever else the machine does meets all ways of serving


@dataclass(frozen=True, slots=True)
class Speedup:
    """Throughput over that of one request at a time, and by how many grey levels any pixel differs."""

    ratio: float
    difference: int


def step_level_speedup(engine: Engine) -> float:
    """Throughput of 12 staggered requests over that of one at a time, on this machine, now."""
    return staggered(engine, warm_up(engine, (engine.family.card.size,))).ratio


def staggered(engine: Engine, paces: Mapping[Shape, Pace]) -> Speedup:
    """12 requests of one picture, each half a step of a lone request after the last."""
    (pace,) = paces.values()
    apart = pace.seconds(engine.size_up(job(engine, 0))[1]) / 2
    arrivals = [Arrival(job(engine, number), number * apart) for number in range(REQUESTS)]
    ratios, differences = [], []
    for _ in range(ROUNDS):
        alone, together = one_at_a_time(engine, paces, arrivals), step_level(engine, paces, arrivals)
        ratios.append(alone.seconds / together.seconds)
        differences.append(difference(alone.pictures, together.pictures))
    return Speedup(statistics.median(ratios), max(differences))


def against_batches_of_requests(
    engine: Engine, paces: Mapping[Shape, Pace], shares: tuple[float, ...], requests: int
) -> dict[float, float]:
    """Mean latency over that of dynamic batching, for each share of that one's capacity; steps differ, as users do."""
    capacity = _capacity(engine, paces, request_level, requests)
    return {share: _latency_ratio(engine, paces, share * capacity, requests) for share in shares}


def _capacity(engine: Engine, paces: Mapping[Shape, Pace], serve: Serve, requests: int) -> float:
    """Requests a second, when all are there at once."""
    return requests / serve(engine, paces, [Arrival(one.job, 0.0) for one in _mixed(engine, 1.0, requests)]).seconds


def _latency_ratio(engine: Engine, paces: Mapping[Shape, Pace], rate: float, requests: int) -> float:
    arrivals = _mixed(engine, rate, requests)
    ratios = []
    for _ in range(ROUNDS):
        theirs, ours = request_level(engine, paces, arrivals), step_level(engine, paces, arrivals)
        ratios.append(ours.mean_latency / theirs.mean_latency)
    return statistics.median(ratios)


def _mixed(engine: Engine, rate: float, requests: int) -> list[Arrival]:
    """A Poisson stream of so many requests a second, of half, all or twice the model's own steps."""
    rng, steps = np.random.default_rng(6), engine.family.card.steps
    times = np.cumsum(rng.exponential(1 / rate, requests))
    choices = (max(1, steps // 2), steps, 2 * steps)
    return [Arrival(job(engine, number, choices[int(rng.integers(3))]), float(at)) for number, at in enumerate(times)]
