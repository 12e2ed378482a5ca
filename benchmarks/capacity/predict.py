"""The network in motion: what callers of a planned house wait, and what the measured load should have met here."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import quantiles

import simpy

from benchmarks.capacity.assumptions import Assumptions
from benchmarks.capacity.journey import Steps, pods, shared_machine, stages, travel
from benchmarks.capacity.load import MIX, SIZE
from benchmarks.capacity.plan import Plan
from benchmarks.capacity.work import MEASURED_SIDE, Kind, Work

# Pictures and their side in the calls of `load.py`.
LOADED: dict[Kind, tuple[int, int]] = {
    "create": (2, SIZE),
    "variation": (1, MEASURED_SIDE),
    "edit": (1, MEASURED_SIDE),
    "check_prompt": (0, 0),
}


@dataclass(frozen=True, slots=True)
class Met:
    """What callers met, in seconds."""

    calls_a_second: float
    cpu_a_call: float
    median_seconds: float
    p95_seconds: float


def loaded_machine(
    work: Work, callers: int, cores: float, seconds: float, idle_cores: float, slots: int, seed: int = 1
) -> Met:
    """The load of `load.py`: callers who ask again as soon as they were answered, on `cores` of a shared machine."""
    world, draw = simpy.Environment(), random.Random(seed)
    serve = shared_machine(world, cores - idle_cores, slots)
    waited: list[float] = []
    kinds: list[Kind] = list(LOADED)
    weights = [MIX[kind] for kind in kinds]

    def caller() -> Steps:
        while True:
            (kind,) = draw.choices(kinds, weights)
            asked = world.now
            yield world.process(travel(world, stages(work, kind, *LOADED[kind]), serve, draw))
            waited.append(world.now - asked)

    for _ in range(callers):
        world.process(caller())
    world.run(seconds)
    mean = sum(share * work.of_call(kind, *LOADED[kind]).total() for kind, share in MIX.items()) / sum(MIX.values())
    rate = len(waited) / seconds
    return Met(rate, mean + idle_cores / rate, quantiles(waited, n=2)[0], quantiles(waited, n=20)[-1])


def planned_house(work: Work, assume: Assumptions, planned: Plan, seconds: float, seed: int = 1) -> Met:
    """A creating call at the busiest hour of a planned house, rendering left out: what the house itself adds."""
    world, draw = simpy.Environment(), random.Random(seed)
    servers = {part: number * assume.pod_cores[part] for part, number in planned.pods.items()}
    serve = pods(world, servers | {"postgres": max(round(planned.demand.postgres_cores), 2)})
    waited: list[float] = []
    kinds, weights = list(assume.mix), list(assume.mix.values())

    def call(kind: Kind) -> Steps:
        asked = world.now
        pictures = assume.pictures(kind)
        yield world.process(travel(world, stages(work, kind, pictures, assume.side), serve, draw))
        if kind == "create":
            waited.append(world.now - asked)

    def arrivals() -> Steps:
        while True:
            yield world.timeout(draw.expovariate(planned.demand.calls))
            world.process(call(draw.choices(kinds, weights)[0]))

    world.process(arrivals())
    world.run(seconds)
    cpu = sum(_without_render(work.of_call("create", assume.pictures_created, assume.side)).values())
    return Met(len(waited) / seconds, cpu, quantiles(waited, n=2)[0], quantiles(waited, n=20)[-1])


def _without_render(cpu: Mapping[str, float]) -> dict[str, float]:
    return {part: used for part, used in cpu.items() if part != "generator"}
