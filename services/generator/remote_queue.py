"""A bounded line before an engine elsewhere: the same surface as `RenderQueue`, and the same refusals."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

import structlog

from services.core.errors import Exhausted, PortcullisError, Unavailable
from services.core.verdicts import Tier
from services.generator.fair_queue import FairQueue
from services.generator.job import Job, Rendered, Rgb
from services.generator.remote import RemoteEngine
from services.generator.render_queue import Load
from services.generator.ticket import Cancelled, Progress, Ticket, TooLate

CHECK_EVERY_SECONDS = 2.0
_FRESH = 0.3  # weight of the latest request in the measured rate
_DOUBT = 0.9  # what is left of the rate where it has refused a request and nothing runs that could correct it

log = structlog.get_logger()


@dataclass(slots=True)
class _Run:
    """A request that the engine has: what is left of its work, and what ends it."""

    left: int
    future: Future[Rendered] | None = None


class RemoteQueue:
    """Hands requests to the engine, `at_once` of them at a time, the pictures of each together.

    Its calls live in a thread with an event loop of its own; every method may be called from any thread.
    """

    def __init__(self, engine: RemoteEngine, limit: int, pixel_limit: int, at_once: int) -> None:
        """`limit` requests and pictures of `pixel_limit` pixels may wait."""
        self._engine = engine
        self._limit = limit
        self._pixel_limit = pixel_limit
        self._at_once = at_once
        self._rate = 0.0  # seconds of one step of one picture; 0 until measured
        self._line: FairQueue[Ticket] = FairQueue()
        self._running: dict[Ticket, _Run] = {}
        self._lock = threading.RLock()
        self._closed = False
        self._lacking = "it was not asked yet"
        self._stop = asyncio.Event()
        self._runner = asyncio.Runner(loop_factory=asyncio.new_event_loop)
        self._loop = self._runner.get_loop()
        self._thread = threading.Thread(target=self._live, name="remote", daemon=True)
        self._thread.start()

    def submit(self, job: Job, tenant: str, tier: Tier, seconds: float, tell: Callable[[Progress], None]) -> Ticket:
        """Takes a place in the line.

        Raises Exhausted where it is full or the `seconds` until the deadline are too few, Unavailable as `check` does.
        """
        now = time.monotonic()
        ticket = Ticket(job, tell, now + seconds)
        with self._lock:
            self.check()
            self._check_room(job, seconds)
            ticket.result.set_running_or_notify_cancel()  # from here on only this queue ends it
            self._line.push(ticket, tenant, tier, job.work(), now)
            self._tell_places()
            self._start_next()
            return ticket

    def cancel(self, ticket: Ticket) -> None:
        """Gives up a request at once, and closes its connections; without effect afterwards."""
        ticket.stop.set()
        with self._lock:
            run = self._running.get(ticket)
            if run is not None and run.future is not None:
                run.future.cancel()
            elif self._line.remove(ticket):
                ticket.result.set_exception(Cancelled("the rendering was given up before it began"))
                self._tell_places()

    def load(self) -> Load:
        """How busy it is now."""
        with self._lock:
            return Load(len(self._line), len(self._running), self._limit)

    def check(self) -> None:
        """Raises Unavailable unless the engine was well and served the model when last asked, a moment ago."""
        if self._closed or not self._thread.is_alive():
            raise Unavailable("the generator is stopping")
        if self._lacking:
            raise Unavailable(
                f"the engine is not to be used: {self._lacking}",
                reason="REMOTE_ILL",
                retry_after=CHECK_EVERY_SECONDS,
            )

    def close(self) -> None:
        """Gives up everything and leaves the engine."""
        with self._lock:
            self._closed = True
            tickets = [*self._line, *self._running]
        for ticket in tickets:
            self.cancel(ticket)
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    def _check_room(self, job: Job, seconds: float) -> None:
        before = self._seconds_waiting()
        pixels = job.pixels() + sum(ticket.job.pixels() for ticket in self._line)
        if len(self._line) >= self._limit or pixels > self._pixel_limit:
            raise Exhausted(
                f"{len(self._line)} requests are waiting, which is all that may",
                reason="QUEUE_FULL",
                retry_after=max(0.1, before / (len(self._line) + 1)) if self._rate else 1.0,
            )
        needed = before + job.work() * self._rate
        if needed > seconds:
            if not self._running:
                self._rate *= _DOUBT
            raise Exhausted(
                f"rendering would end in about {needed:.1f} seconds, after the deadline",
                reason="DEADLINE_TOO_SHORT",
                retry_after=max(0.1, before),
            )

    def _seconds_waiting(self) -> float:
        """Until the engine has a place for one more; 0 where it has one now."""
        if len(self._running) < self._at_once:
            return 0.0
        work = sum(ticket.job.work() for ticket in self._line) + sum(run.left for run in self._running.values())
        return work * self._rate / self._at_once

    def _start_next(self) -> None:
        """Hands over as many requests as there are places for."""
        while self._line and len(self._running) < self._at_once and not self._closed:
            ticket = self._line.pop()
            run = self._running[ticket] = _Run(ticket.job.work())
            run.future = asyncio.run_coroutine_threadsafe(self._render(ticket, run), self._loop)
            run.future.add_done_callback(partial(self._end, ticket))
            self._tell_places()

    def _end(self, ticket: Ticket, done: Future[Rendered]) -> None:
        """Answers, and frees the place."""
        with self._lock:
            del self._running[ticket]
            self._start_next()
        if done.cancelled():
            ticket.result.set_exception(Cancelled("the rendering was given up"))
        elif error := done.exception():
            ticket.result.set_exception(error)
        else:
            ticket.result.set_result(done.result())

    def _tell_places(self) -> None:
        for place, ticket in enumerate(self._line):
            ticket.tell_place(place)

    async def _render(self, ticket: Ticket, run: _Run) -> Rendered:
        """All pictures or none, before the deadline or not at all."""
        job = ticket.job
        begun = time.monotonic()
        self._tell_step(ticket, run)
        try:
            async with asyncio.timeout(ticket.deadline - begun), asyncio.TaskGroup() as tasks:
                drawing = [tasks.create_task(self._draw(ticket, run, index)) for index in range(job.count)]
        except TimeoutError:
            raise TooLate("the deadline passed before the pictures were done", reason="DEADLINE_PASSED") from None
        except ExceptionGroup as errors:  # the first failure has ended the others
            raise errors.exceptions[0] from None
        seconds = (time.monotonic() - begun) / job.work()
        self._rate += (_FRESH if self._rate else 1.0) * (seconds - self._rate)
        return Rendered([task.result() for task in drawing], job.steps, job.guidance, scheduler="")

    async def _draw(self, ticket: Ticket, run: _Run, index: int) -> Rgb:
        picture = await self._engine.draw(ticket.job, index)
        run.left -= ticket.job.steps
        self._tell_step(ticket, run)
        return picture

    def _tell_step(self, ticket: Ticket, run: _Run) -> None:
        """The engine tells no steps: they are counted as its pictures come."""
        job = ticket.job
        ticket.tell(Progress(0, (job.work() - run.left) // job.count, job.steps))

    def _live(self) -> None:
        with self._runner:
            self._runner.run(self._watch())

    async def _watch(self) -> None:
        """Asks for the engine's health until the end."""
        while not self._stop.is_set():
            why = await self._ask_health()
            if why != self._lacking:
                log.info("engine", well=not why, why=why or "all is there")
            self._lacking = why
            with suppress(TimeoutError):
                async with asyncio.timeout(CHECK_EVERY_SECONDS):
                    await self._stop.wait()
        await self._engine.close()

    async def _ask_health(self) -> str:
        """What it lacks to be used; empty where it is well."""
        try:
            await self._engine.check()
        except PortcullisError as error:
            return error.message
        return ""
