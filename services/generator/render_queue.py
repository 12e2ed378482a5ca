"""One worker thread, a bounded line before it, and a measured rate: what cannot be done in time is refused at once."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field

from services.core.errors import Exhausted, Unavailable
from services.generator.engine import Cancelled, Engine, Watch
from services.generator.job import Job, Rgb

_FRESH = 0.3  # weight of the latest rendering in the measured rate


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a request is: `ahead` of it in the line, or `step` of `steps` done."""

    ahead: int
    step: int = 0
    steps: int = 0


@dataclass(frozen=True, slots=True)
class Load:
    """Requests waiting, being rendered, and how many may wait."""

    queued: int
    running: int
    limit: int


@dataclass(eq=False, slots=True)
class Ticket:
    """One request in the line. `tell` is called from the worker's thread; `result` ends with pictures or Cancelled."""

    job: Job
    tell: Callable[[Progress], None]
    result: Future[list[Rgb]] = field(default_factory=Future)
    stop: threading.Event = field(default_factory=threading.Event)


class RenderQueue:
    """Renders tickets in order of arrival."""

    def __init__(self, engine: Engine, limit: int, seconds_per_step: float) -> None:
        """`seconds_per_step` is the first guess of the time of one step of one picture, from a warm-up."""
        self._engine = engine
        self._limit = limit
        self._rate = seconds_per_step
        self._waiting: deque[Ticket] = deque()
        self._running: Ticket | None = None
        self._left = 0
        self._closed = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._work, name="render", daemon=True)
        self._thread.start()

    def submit(self, job: Job, seconds: float, tell: Callable[[Progress], None]) -> Ticket:
        """Takes a place in the line; raises Exhausted where it is full or `seconds` until the deadline are too few."""
        with self._changed:
            if self._closed:
                raise Unavailable("the generator is stopping")
            before = self._work_ahead() * self._rate
            # One more than may wait while the worker, idle, has not yet taken the first.
            if self._ahead(len(self._waiting)) > self._limit:
                raise Exhausted(
                    f"{self._limit} requests are waiting, which is all that may",
                    reason="QUEUE_FULL",
                    retry_after=max(0.1, before / (len(self._waiting) + 1)),
                )
            needed = before + job.work() * self._rate
            if needed > seconds:
                raise Exhausted(
                    f"rendering would end in about {needed:.1f} seconds, after the deadline",
                    reason="DEADLINE_TOO_SHORT",
                    retry_after=max(0.1, before),
                )
            ticket = Ticket(job, tell)
            ticket.result.set_running_or_notify_cancel()  # from here on only the worker or `cancel` ends it
            self._waiting.append(ticket)
            tell(Progress(ahead=self._ahead(len(self._waiting) - 1)))
            self._changed.notify()
            return ticket

    def cancel(self, ticket: Ticket) -> None:
        """Gives up a request: at once while it waits, within one step while it runs; without effect afterwards."""
        ticket.stop.set()
        with self._changed:
            if ticket in self._waiting:
                self._waiting.remove(ticket)
                ticket.result.set_exception(Cancelled("the rendering was given up before it began"))
                self._tell_places()

    def load(self) -> Load:
        """How busy it is now."""
        with self._changed:
            return Load(len(self._waiting), int(self._running is not None), self._limit)

    def alive(self) -> bool:
        """Whether the worker runs."""
        return self._thread.is_alive()

    def close(self) -> None:
        """Gives up everything and ends the worker."""
        with self._changed:
            self._closed = True
            waiting, self._waiting = list(self._waiting), deque()
            if self._running is not None:
                self._running.stop.set()
            self._changed.notify()
        for ticket in waiting:
            ticket.result.set_exception(Cancelled("the rendering was given up before it began"))
        self._thread.join()

    def _work_ahead(self) -> int:
        return self._left + sum(ticket.job.work() for ticket in self._waiting)

    def _ahead(self, place: int) -> int:
        return place + int(self._running is not None)

    def _tell_places(self) -> None:
        for place, ticket in enumerate(self._waiting):
            ticket.tell(Progress(ahead=self._ahead(place)))

    def _work(self) -> None:
        while (ticket := self._next()) is not None:
            self._render(ticket)
            with self._changed:
                self._running, self._left = None, 0

    def _next(self) -> Ticket | None:
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed)
            if self._closed:
                return None
            self._running = self._waiting.popleft()
            self._left = self._running.job.work()
            self._tell_places()
            return self._running

    def _render(self, ticket: Ticket) -> None:
        begun = time.perf_counter()

        def step(done: int, steps: int) -> None:
            self._left = (steps - done) * ticket.job.count
            ticket.tell(Progress(0, done, steps))

        try:
            pictures = self._engine.render(ticket.job, Watch(step, ticket.stop.is_set))
        except Exception as error:
            # Whatever went wrong belongs to this request alone: its caller gets it, the worker lives on.
            ticket.result.set_exception(error)
        else:
            self._rate += _FRESH * ((time.perf_counter() - begun) / ticket.job.work() - self._rate)
            ticket.result.set_result(pictures)


def measure_rate(engine: Engine) -> float:
    """Seconds of one step of one picture, from a small rendering after a warm-up; proves that the model runs at all."""
    card = engine.checkpoint.card
    job = Job("create", "", "", None, None, count=1, size=card.size, steps=2, seed=0)
    watch = Watch(step=lambda _done, _steps: None, cancelled=lambda: False)
    engine.render(job, watch)
    begun = time.perf_counter()
    engine.render(job, watch)
    return (time.perf_counter() - begun) / job.work()
