"""The way of a call through the house as a queueing network: stages in turn, the tasks of each side by side."""

from __future__ import annotations

import random
from collections.abc import Callable, Generator, Mapping, Sequence
from typing import Any

import simpy

from benchmarks.capacity.work import Kind, Work

Steps = Generator[Any, Any, None]
Task = tuple[str, float]  # a part of the house, CPU seconds
Stage = Sequence[Task]
# Times vary from call to call: a gamma distribution of this shape, whose standard deviation is half its mean.
SHAPE = 4.0


def stages(work: Work, kind: Kind, pictures: int, side: int) -> list[Stage]:
    """What waits for what, as docs/architecture.md has it (the way of one request)."""
    base = work.base[kind]

    def once(*parts: str) -> Stage:
        return [(part, base[part]) for part in parts if base.get(part, 0) > 0]

    def each(part: str) -> Stage:
        return [(part, work.of_picture(part, side))] * pictures

    door = [("gateway", base["gateway"] / 2)]
    checks = [once("prompt_filter", "provenance"), once("image_filter"), once("combo_filter")]
    drawing = [once("generator"), [("generator", pictures * work.of_picture("generator", side))]] if pictures else []
    outputs = [each("image_filter"), each("provenance")] if pictures else []
    rest = [(part, pictures * work.of_picture(part, side)) for part in ("gateway", "postgres")]
    books = [("gateway", base["gateway"] / 2), ("postgres", base["postgres"]), *rest]
    return [stage for stage in (door, *checks, *drawing, *outputs, books) if stage]


Serve = Callable[[str, float], Steps]


def travel(world: simpy.Environment, way: Sequence[Stage], serve: Serve, draw: random.Random) -> Steps:
    """One call: each stage begins when all tasks of the one before have been served."""
    for stage in way:
        spread = draw.gammavariate(SHAPE, 1 / SHAPE)
        yield world.all_of([world.process(serve(part, seconds * spread)) for part, seconds in stage])


def shared_machine(world: simpy.Environment, cores: float, slots: int, slice_seconds: float = 0.01) -> Serve:
    """One machine for all parts: `slots` processors of together `cores`, a slice at a time and then the next task."""
    processors = simpy.Resource(world, slots)
    speed = cores / slots

    def serve(_part: str, seconds: float) -> Steps:
        left = seconds
        while left > 0:
            with processors.request() as turn:
                yield turn
                yield world.timeout(min(left, slice_seconds) / speed)
            left -= slice_seconds

    return serve


def pods(world: simpy.Environment, servers: Mapping[str, int]) -> Serve:
    """Processors of its own for each part, first come first served; what is in none is not waited for."""
    resources = {part: simpy.Resource(world, number) for part, number in servers.items()}

    def serve(part: str, seconds: float) -> Steps:
        if part not in resources:
            return
        with resources[part].request() as turn:
            yield turn
            yield world.timeout(seconds)

    return serve
