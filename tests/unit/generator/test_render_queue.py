from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest

from services.core.errors import Exhausted, Unavailable
from services.generator.engine import Cancelled, Watch
from services.generator.job import Job, Rgb
from services.generator.render_queue import Progress, RenderQueue

JOB = Job("create", "a circle", "", None, None, count=2, size=64, steps=5, seed=0)
SECONDS_PER_STEP = 0.1  # so that JOB counts as one second


class HeldEngine:
    """Takes steps only while `go` is set, and remembers how many."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.begun = threading.Event()
        self.steps = 0

    def render(self, job: Job, watch: Watch) -> list[Rgb]:
        for done in range(job.steps):
            self.begun.set()
            self.go.wait()
            if watch.cancelled():
                raise Cancelled("given up")
            self.steps += 1
            watch.step(done + 1, job.steps)
        return []


@pytest.fixture
def engine() -> HeldEngine:
    return HeldEngine()


@pytest.fixture
def queue(engine: HeldEngine) -> Iterator[RenderQueue]:
    queue = RenderQueue(engine, limit=2, seconds_per_step=SECONDS_PER_STEP)
    yield queue
    engine.go.set()
    queue.close()


def listener() -> tuple[list[Progress], Callable[[Progress], None]]:
    told: list[Progress] = []
    return told, told.append


def start(queue: RenderQueue, engine: HeldEngine) -> object:
    ticket = queue.submit(JOB, 60, lambda _progress: None)
    engine.begun.wait(5)
    return ticket


def test_a_request_hears_its_place_and_every_step(queue: RenderQueue, engine: HeldEngine) -> None:
    told, tell = listener()
    engine.go.set()
    queue.submit(JOB, 60, tell).result.result(5)
    assert told[0] == Progress(ahead=0)
    assert told[-5:] == [Progress(0, step, 5) for step in range(1, 6)]


def test_the_load_is_true(queue: RenderQueue, engine: HeldEngine) -> None:
    start(queue, engine)
    queue.submit(JOB, 60, lambda _progress: None)
    load = queue.load()
    assert (load.queued, load.running, load.limit) == (1, 1, 2)


def test_a_full_line_refuses_with_the_measured_wait(queue: RenderQueue, engine: HeldEngine) -> None:
    start(queue, engine)
    for _ in range(2):
        queue.submit(JOB, 60, lambda _progress: None)
    with pytest.raises(Exhausted) as refusal:
        queue.submit(JOB, 60, lambda _progress: None)
    assert refusal.value.reason == "QUEUE_FULL"
    assert refusal.value.retry_after == pytest.approx(1.0)


def test_a_deadline_that_cannot_be_met_is_refused_at_once(queue: RenderQueue, engine: HeldEngine) -> None:
    start(queue, engine)
    with pytest.raises(Exhausted) as refusal:
        queue.submit(JOB, 1.9, lambda _progress: None)
    assert refusal.value.reason == "DEADLINE_TOO_SHORT"
    assert queue.load().queued == 0


def test_a_running_request_stops_within_one_step(queue: RenderQueue, engine: HeldEngine) -> None:
    ticket = start(queue, engine)
    queue.cancel(ticket)
    engine.go.set()
    with pytest.raises(Cancelled):
        ticket.result.result(5)
    assert engine.steps == 0


def test_a_waiting_request_leaves_at_once_and_the_rest_move_up(queue: RenderQueue, engine: HeldEngine) -> None:
    start(queue, engine)
    first = queue.submit(JOB, 60, lambda _progress: None)
    told, tell = listener()
    queue.submit(JOB, 60, tell)
    queue.cancel(first)
    assert isinstance(first.result.exception(0), Cancelled)
    assert [progress.ahead for progress in told] == [2, 1]


def test_an_error_belongs_to_one_request_alone(queue: RenderQueue, engine: HeldEngine) -> None:
    engine.go.set()

    def fail(progress: Progress) -> None:
        if progress.step:
            raise MemoryError

    assert isinstance(queue.submit(JOB, 60, fail).result.exception(5), MemoryError)
    assert queue.submit(JOB, 60, lambda _progress: None).result.result(5) == []


def test_after_closing_nothing_is_taken(engine: HeldEngine) -> None:
    engine.go.set()
    queue = RenderQueue(engine, limit=2, seconds_per_step=SECONDS_PER_STEP)
    queue.close()
    assert not queue.alive()
    with pytest.raises(Unavailable):
        queue.submit(JOB, 60, lambda _progress: None)
