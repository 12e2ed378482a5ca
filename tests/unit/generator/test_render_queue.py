"""The line and the batch behind it, with a real model: who is admitted, who is served when, and how each one ends."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch

from services.core.errors import Exhausted, InvalidInput, Unavailable
from services.generator.checkpoint import Checkpoint
from services.generator.engine import UNWATCHED, Engine
from services.generator.families import build_family
from services.generator.job import Job, Rgb
from services.generator.picture import Picture
from services.generator.render_queue import RenderQueue
from services.generator.ticket import Cancelled, Progress, TooLate
from tests.unit.generator.gated import JOB, GatedEngine, ask, difference, opened, silent, started


@pytest.fixture
def gated(tiny: Checkpoint) -> GatedEngine:
    return GatedEngine(build_family(tiny))


@pytest.fixture
def queue(gated: GatedEngine) -> Iterator[RenderQueue]:
    """On a machine that one row fills."""
    with opened(gated) as queue:
        yield queue


def test_a_request_hears_its_place_every_step_and_the_decoding(queue: RenderQueue, gated: GatedEngine) -> None:
    told: list[Progress] = []
    gated.go.set()
    queue.submit(JOB, "acme", "new", 60, told.append).result.result(60)
    steps = [Progress(0, step, 5) for step in range(1, 6)]
    assert told == [Progress(0), *steps, Progress(0, 5, 5, decoding=True)]


def test_the_answer_says_how_the_pictures_were_made(queue: RenderQueue, gated: GatedEngine) -> None:
    gated.go.set()
    rendered = ask(queue).result.result(60)
    assert (rendered.steps, rendered.guidance, rendered.scheduler) == (5, 2.0, "DDIMScheduler")


def test_the_load_is_true(queue: RenderQueue, gated: GatedEngine) -> None:
    started(queue, gated)
    ask(queue)
    load = queue.load()
    assert (load.queued, load.running, load.limit) == (1, 1, 2)


def test_what_the_model_would_ignore_is_refused_before_it_waits(queue: RenderQueue) -> None:
    with pytest.raises(InvalidInput, match="negative_prompt"):
        ask(queue, replace(JOB, unwanted="fog", guidance=1.0))
    assert queue.load().queued == 0


def test_a_full_line_refuses_with_the_measured_wait(queue: RenderQueue, gated: GatedEngine) -> None:
    started(queue, gated)
    for _ in range(2):
        ask(queue)
    with pytest.raises(Exhausted) as refusal:
        ask(queue)
    assert refusal.value.reason == "QUEUE_FULL"
    assert refusal.value.retry_after == pytest.approx(1.0)


def test_a_line_full_of_pixels_refuses(gated: GatedEngine) -> None:
    with opened(gated, limit=9, pixels=3 * JOB.pixels()) as queue:
        started(queue, gated)
        for _ in range(3):
            ask(queue)
        with pytest.raises(Exhausted) as refusal:
            ask(queue)
    assert refusal.value.reason == "QUEUE_FULL"


def test_a_deadline_that_cannot_be_met_is_refused_at_once(queue: RenderQueue, gated: GatedEngine) -> None:
    started(queue, gated)
    with pytest.raises(Exhausted) as refusal:
        ask(queue, seconds=1.9)
    assert refusal.value.reason == "DEADLINE_TOO_SHORT"
    assert queue.load().queued == 0


def test_a_deadline_that_can_just_be_met_is_taken(queue: RenderQueue, gated: GatedEngine) -> None:
    started(queue, gated)
    ask(queue, seconds=2.1)
    assert queue.load().queued == 1


def test_a_running_request_stops_within_one_step(queue: RenderQueue, gated: GatedEngine) -> None:
    ticket = started(queue, gated)
    queue.cancel(ticket)
    gated.go.set()
    with pytest.raises(Cancelled):
        ticket.result.result(60)
    assert len(gated.passes) == 1  # the one that ran when it was given up
    assert queue.load().running == 0


def test_a_deadline_that_passes_while_it_runs_ends_it(queue: RenderQueue, gated: GatedEngine) -> None:
    ticket = started(queue, gated)
    ticket.deadline = time.monotonic()
    gated.go.set()
    with pytest.raises(TooLate):
        ticket.result.result(60)
    assert len(gated.passes) == 1


def test_a_waiting_request_leaves_at_once_and_the_rest_move_up(queue: RenderQueue, gated: GatedEngine) -> None:
    started(queue, gated)
    first = ask(queue)
    told: list[Progress] = []
    queue.submit(JOB, "acme", "new", 60, told.append)
    queue.cancel(first)
    assert isinstance(first.result.exception(0), Cancelled)
    assert [progress.ahead for progress in told] == [1, 0]


def test_on_a_machine_that_one_picture_fills_requests_are_served_one_after_the_other(
    queue: RenderQueue, gated: GatedEngine
) -> None:
    ended: list[int] = []
    tickets = [started(queue, gated), ask(queue), ask(queue)]
    for place, ticket in enumerate(tickets):
        ticket.result.add_done_callback(lambda _done, place=place: ended.append(place))
    gated.go.set()
    for ticket in tickets:
        ticket.result.result(60)
    assert ended == [0, 1, 2]
    assert set(gated.passes) == {1}


def test_requests_join_and_leave_between_steps_and_each_gets_its_own_pictures(
    gated: GatedEngine, engine: Engine
) -> None:
    jobs = [replace(JOB, words=f"a {colour} star", steps=3 + place, seed=place, count=1 + place % 2)
            for place, colour in enumerate(("red", "blue", "green", "pink", "black"))]  # fmt: skip
    with opened(gated, cap=64, limit=9) as queue:
        tickets = [started(queue, gated, jobs[0]), *(ask(queue, job) for job in jobs[1:])]
        gated.go.set()
        together = [ticket.result.result(60).pictures for ticket in tickets]
    assert max(gated.passes) == sum(job.count for job in jobs)
    assert len(gated.passes) < sum(job.steps for job in jobs)
    for job, pictures in zip(jobs, together, strict=True):
        # The shape of a batch changes the order of floating-point sums: one grey level at most.
        assert difference(pictures, engine.render(job, UNWATCHED)) <= 1


def test_a_flood_of_one_tenant_lets_another_pass(gated: GatedEngine) -> None:
    ended: list[str] = []
    with opened(gated, limit=9) as queue:
        tickets = {"first": started(queue, gated)}
        tickets |= {f"flood {number}": ask(queue, tenant="flood") for number in range(8)}
        tickets["other"] = ask(queue, tenant="quiet")
        for name, ticket in tickets.items():
            ticket.result.add_done_callback(lambda _done, name=name: ended.append(name))
        gated.go.set()
        for ticket in tickets.values():
            ticket.result.result(60)
    assert ended.index("other") <= 3  # a turn is worth two such requests


def test_a_lack_of_memory_for_many_is_met_with_smaller_batches(gated: GatedEngine, engine: Engine) -> None:
    def fail(pictures: Sequence[Picture], most_rows: int) -> None:
        if min(most_rows, sum(picture.width for picture in pictures)) > 3:
            raise torch.OutOfMemoryError("no room")

    gated.fail = fail
    with opened(gated, cap=64) as queue:
        tickets = [started(queue, gated), ask(queue)]
        gated.go.set()
        pictures = [ticket.result.result(60).pictures for ticket in tickets]
    assert all(difference(one, engine.render(JOB, UNWATCHED)) <= 1 for one in pictures)


def test_a_request_that_memory_never_suffices_for_fails_alone(gated: GatedEngine, engine: Engine) -> None:
    greedy = replace(JOB, seed=99, count=1, steps=7)

    def fail(pictures: Sequence[Picture], _most_rows: int) -> None:
        if any(len(picture.times) == 7 for picture in pictures):
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes.")

    gated.fail = fail
    with opened(gated, cap=64) as queue:
        tickets = [started(queue, gated), ask(queue, greedy), ask(queue)]
        gated.go.set()
        error = tickets[1].result.exception(60)
        others = [tickets[place].result.result(60).pictures for place in (0, 2)]
    assert isinstance(error, Exhausted)
    assert error.reason == "OUT_OF_MEMORY"
    assert all(difference(one, engine.render(JOB, UNWATCHED)) <= 1 for one in others)


def test_an_error_belongs_to_one_request_alone(queue: RenderQueue, gated: GatedEngine) -> None:
    gated.go.set()

    def fail(progress: Progress) -> None:
        if progress.step:
            raise LookupError

    assert isinstance(queue.submit(JOB, "acme", "new", 60, fail).result.exception(60), LookupError)
    assert len(ask(queue).result.result(60).pictures) == 2


def test_a_picture_of_no_numbers_never_leaves(queue: RenderQueue, gated: GatedEngine) -> None:
    def spoil(pictures: Sequence[Picture], _most_rows: int) -> None:
        pictures[0].latents = pictures[0].latents * np.nan

    gated.fail = spoil
    gated.go.set()
    error = ask(queue).result.exception(60)
    assert getattr(error, "reason", "") == "PICTURE_SPOILT"


def test_failures_of_requests_make_no_ill_model(queue: RenderQueue, gated: GatedEngine) -> None:
    def fail(_pictures: Sequence[Picture], _most_rows: int) -> None:
        if not gated.tried:
            raise ValueError

    gated.fail = fail
    gated.go.set()
    for _ in range(3):
        assert isinstance(ask(queue).result.exception(60), ValueError)
    assert ask(queue).result.result(60)
    queue.check()


def test_an_ill_model_takes_nothing_until_it_works_again(
    queue: RenderQueue, gated: GatedEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.generator.render_queue.HEAL_SECONDS", 0.05)
    well = False

    def fail(_pictures: Sequence[Picture], _most_rows: int) -> None:
        if not well:
            raise RuntimeError("device-side assert")

    gated.fail = fail
    gated.go.set()
    for _ in range(3):
        ask(queue).result.exception(60)
    until(lambda: refused(queue))
    well = True
    until(lambda: not refused(queue))
    assert ask(queue).result.result(60)


def test_after_closing_nothing_is_taken(gated: GatedEngine) -> None:
    gated.go.set()
    with opened(gated) as queue:
        pass
    with pytest.raises(Unavailable):
        queue.submit(JOB, "acme", "new", 60, silent)


def test_closing_answers_everybody(gated: GatedEngine) -> None:
    with opened(gated) as queue:
        tickets = [started(queue, gated), ask(queue), ask(queue)]
    assert all(isinstance(ticket.result.exception(0), Cancelled) for ticket in tickets)


def refused(queue: RenderQueue) -> bool:
    try:
        queue.check()
    except Unavailable:
        return True
    return False


def until(condition: object) -> None:
    """Waits for what a thread does."""
    ends = time.monotonic() + 60
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < ends
        time.sleep(0.01)


def test_a_picture_that_cannot_be_decoded_ends_its_request_alone(gated: GatedEngine) -> None:
    finish = gated.finish

    def failing(job: Job, picture: Picture) -> Rgb:
        if job.seed == 99:
            raise torch.OutOfMemoryError("no room")
        return finish(job, picture)

    gated.finish = failing
    with opened(gated) as queue:
        tickets = [started(queue, gated), ask(queue, replace(JOB, seed=99)), ask(queue)]
        gated.go.set()
        assert getattr(tickets[1].result.exception(60), "reason", "") == "OUT_OF_MEMORY"
        assert all(tickets[place].result.result(60).pictures for place in (0, 2))
