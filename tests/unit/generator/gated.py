"""An engine that a test holds still, and pictures to compare."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor

from services.generator.engine import Engine
from services.generator.family import Family
from services.generator.job import Job, Rgb
from services.generator.pace import Pace
from services.generator.picture import Picture
from services.generator.render_queue import RenderQueue
from services.generator.ticket import Progress, Ticket

JOB = Job("create", "a red circle", "", None, None, count=2, size=64, steps=5, seed=0, guidance=2.0)
SHAPE = (48, 4, 4)
SECONDS_PER_ROW = 0.05  # so that JOB, of 5 steps of 2 guided pictures, counts as one second


class GatedEngine(Engine):
    """The real engine, which takes steps only while `go` is set. `fail` may raise in place of a pass."""

    def __init__(self, family: Family) -> None:
        super().__init__(family)
        self.go = threading.Event()
        self.begun = threading.Event()
        self.passes: list[int] = []
        self.fail: Callable[[Sequence[Picture], int], None] = lambda _pictures, _most_rows: None
        self.tried = 0

    def guess(self, pictures: Sequence[Picture], most_rows: int) -> list[Tensor]:
        self.begun.set()
        self.go.wait(60)
        self.fail(pictures, most_rows)
        self.passes.append(len(pictures))
        return super().guess(pictures, most_rows)

    def try_out(self, size: int) -> None:
        self.tried += 1
        super().try_out(size)


def steady(cap: int) -> Pace:
    """A machine on which passes of up to `cap` rows take as long as one row."""
    pace = Pace({1: SECONDS_PER_ROW * cap, cap: SECONDS_PER_ROW * cap} if cap > 1 else {1: SECONDS_PER_ROW})
    pace.passed = lambda rows, seconds: None  # type: ignore[method-assign]  # as if the machine were always as fast
    return pace


@contextmanager
def opened(engine: GatedEngine, cap: int = 1, limit: int = 2, pixels: int = 10**9) -> Iterator[RenderQueue]:
    queue = RenderQueue(engine, {SHAPE: steady(cap)}, limit, pixels)
    try:
        yield queue
    finally:
        engine.go.set()
        queue.close()


def silent(_progress: Progress) -> None:
    """Listens to nothing."""


def ask(queue: RenderQueue, job: Job = JOB, tenant: str = "acme", seconds: float = 60.0) -> Ticket:
    return queue.submit(job, tenant, "new", seconds, silent)


def started(queue: RenderQueue, engine: GatedEngine, job: Job = JOB) -> Ticket:
    """A request whose first step has begun and is held."""
    ticket = ask(queue, job)
    assert engine.begun.wait(60)
    return ticket


def difference(left: Sequence[Rgb], right: Sequence[Rgb]) -> int:
    """Grey levels, the most over all pixels."""
    return max(int(np.abs(a.astype(int) - b.astype(int)).max()) for a, b in zip(left, right, strict=True))


def latents(engine: Engine, job: Job, company: Sequence[Job]) -> list[Tensor]:
    """The job's finished latents, made in steps that others share and leave as they are done."""
    mine = engine.begin(job)
    others = [picture for other in company for picture in engine.begin(other)]
    while active := [picture for picture in (*mine, *others) if not picture.finished]:
        engine.step(active)
    return [picture.latents for picture in mine]


def farthest(left: Sequence[Tensor], right: Sequence[Tensor]) -> float:
    return max(float((a - b).abs().max()) for a, b in zip(left, right, strict=True))


torch.set_num_threads(1)
