"""Admits requests, keeps them in a bounded line, and gives them to the batch of the one rendering thread.

What cannot be done in time is refused at once, with a hint from the measured rate.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import takewhile

import structlog

from services.core import telemetry
from services.core.errors import Exhausted, PortcullisError, Unavailable
from services.core.verdicts import Tier
from services.generator.batch import Batch
from services.generator.engine import Engine
from services.generator.fair_queue import FairQueue
from services.generator.job import Job
from services.generator.pace import Pace, Shape
from services.generator.ticket import Cancelled, Progress, Ticket

ILL_AFTER = 3  # failed requests in a row until the model itself is tried
HEAL_SECONDS = 5.0

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Load:
    """Requests waiting, being rendered, and how many may wait."""

    queued: int
    running: int
    limit: int


class RenderQueue:
    """A line before one rendering thread."""

    def __init__(self, engine: Engine, paces: Mapping[Shape, Pace], limit: int, pixel_limit: int) -> None:
        """`limit` requests and pictures of `pixel_limit` pixels may wait; `paces` were measured in a warm-up."""
        self._engine = engine
        self._paces = paces
        self._limit = limit
        self._pixel_limit = pixel_limit
        self._line: FairQueue[Ticket] = FairQueue()
        self._batch = Batch(engine, paces)
        self._ill = False
        self._closed = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._work, name="render", daemon=True)
        self._thread.start()

    def submit(self, job: Job, tenant: str, tier: Tier, seconds: float, tell: Callable[[Progress], None]) -> Ticket:
        """Takes a place in the line.

        Raises Exhausted where it is full or the `seconds` until the deadline are too few, Unavailable as `check` does,
        InvalidInput for what the model would ignore.
        """
        self._engine.family.check(job)
        now = time.monotonic()
        ticket = Ticket(job, tell, now + seconds)
        with self._changed:
            self.check()
            self._check_room(job)
            self._line.push(ticket, tenant, tier, job.work(), now)
            needed = self._seconds_until_done(ticket)
            if needed > seconds:
                self._line.remove(ticket)
                if not self._line and not self._batch.running:
                    self._pace(ticket).doubt()
                raise Exhausted(
                    f"rendering would end in about {needed:.1f} seconds, after the deadline",
                    reason="DEADLINE_TOO_SHORT",
                    retry_after=max(0.1, self._seconds_waiting()),
                )
            ticket.result.set_running_or_notify_cancel()  # from here on only the thread or `cancel` ends it
            self._tell_places()
            self._changed.notify()
            return ticket

    def cancel(self, ticket: Ticket) -> None:
        """Gives up a request: at once while it waits, within one step while it runs; without effect afterwards."""
        ticket.stop.set()
        with self._changed:
            if self._line.remove(ticket):
                ticket.result.set_exception(Cancelled("the rendering was given up before it began"))
                self._tell_places()

    def load(self) -> Load:
        """How busy it is now."""
        with self._changed:
            return Load(len(self._line), self._batch.running, self._limit)

    def check(self) -> None:
        """Raises Unavailable while nothing can be rendered."""
        if self._closed or not self._thread.is_alive():
            raise Unavailable("the generator is stopping")
        if self._ill:
            raise Unavailable("the model fails; it is tried again", reason="MODEL_ILL", retry_after=HEAL_SECONDS)

    def close(self) -> None:
        """Gives up everything and ends the thread."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def _check_room(self, job: Job) -> None:
        pixels = job.pixels() + sum(ticket.job.pixels() for ticket in self._line)
        # One more than may wait while the thread, idle, has not yet taken the first.
        if len(self._line) < self._limit + (not self._batch.running) and pixels <= self._pixel_limit:
            return
        raise Exhausted(
            f"{len(self._line)} requests are waiting, which is all that may",
            reason="QUEUE_FULL",
            retry_after=max(0.1, self._seconds_waiting() / (len(self._line) + 1)),
        )

    def _seconds_waiting(self) -> float:
        """Until all that is known of now is done."""
        return self._batch.seconds_left + sum(map(self._seconds, self._line))

    def _seconds_until_done(self, ticket: Ticket) -> float:
        """As if the machine did nothing but what is before it, and it alone at last: it cannot be sooner than that."""
        before = sum(map(self._seconds, takewhile(lambda other: other is not ticket, self._line)))
        steps, rows = self._engine.size_up(ticket.job)
        alone = steps * self._pace(ticket).seconds(rows)
        return max(alone, self._batch.seconds_left + before + self._seconds(ticket))

    def _seconds(self, ticket: Ticket) -> float:
        """Of the whole machine, which a request takes."""
        steps, rows = self._engine.size_up(ticket.job)
        return steps * rows * self._pace(ticket).seconds_a_row

    def _pace(self, ticket: Ticket) -> Pace:
        return self._paces[self._engine.family.latent_shape(ticket.job.size)]

    def _tell_places(self) -> None:
        for place, ticket in enumerate(self._line):
            ticket.tell_place(place)

    def _work(self) -> None:
        try:
            while not self._closed:
                if ticket := self._next():
                    self._batch.begin(ticket)
                else:
                    self._batch.step()
                if self._batch.failures >= ILL_AFTER:
                    self._heal()
        finally:
            self._closed = True
            self._end_all(Cancelled("the generator is stopping"))
            self._batch.close()

    def _next(self) -> Ticket | None:
        """The request that may begin now; waits only while there is nothing else to do."""
        with self._changed:
            if not self._batch.running:
                for pace in self._paces.values():
                    pace.rest()
            self._changed.wait_for(lambda: self._line or self._batch.running or self._closed)
            if self._closed or not self._line or not self._batch.has_room():
                return None
            ticket = self._line.pop()
            self._batch.expect()
            self._tell_places()
            return ticket

    def _heal(self) -> None:
        """Tries the model itself until it works; until then nothing is taken, and whoever waits is told."""
        while not self._closed and not self._works():
            self._ill = True
            self._end_all(Unavailable("the model fails; it is tried again", reason="MODEL_ILL"))
            with self._changed:
                self._changed.wait_for(lambda: self._closed, HEAL_SECONDS)
        self._ill, self._batch.failures = False, 0

    def _works(self) -> bool:
        try:
            self._engine.try_out(self._engine.family.card.size)
        except Exception as error:
            log.error("the model fails", **telemetry.fault(error))
            return False
        return True

    def _end_all(self, error: PortcullisError) -> None:
        with self._changed:
            while self._line:
                self._line.pop().result.set_exception(error)
        self._batch.end_all(error)
