"""A bounded line before an engine elsewhere: the same surface as `RenderQueue`, and the same refusals."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

import structlog

from services.core.errors import Exhausted, PortcullisError, Unavailable
from services.generator.engine import Cancelled
from services.generator.job import Job, Rgb
from services.generator.remote import RemoteEngine
from services.generator.render_queue import Load, Progress, Ticket

CHECK_EVERY_SECONDS = 2.0
_FRESH = 0.3  # weight of the latest request in the measured rate

log = structlog.get_logger()


@dataclass(eq=False, slots=True)
class _Run:
    """A request that the engine has: `left` of its work, and what ends it."""

    ticket: Ticket
    deadline: float
    left: int
    future: Future[list[Rgb]] | None = None


class RemoteQueue:
    """Hands requests to the engine in order of arrival, `at_once` of them at a time, the pictures of each together.

    Its calls live in a thread with an event loop of its own; every method may be called from any thread.
    """

    def __init__(self, engine: RemoteEngine, limit: int, at_once: int) -> None:
        """`limit` requests may wait beyond those `at_once`."""
        self._engine = engine
        self._limit = limit
        self._at_once = at_once
        self._rate = 0.0  # seconds of one step of one picture; 0 until measured
        self._waiting: deque[_Run] = deque()
        self._running: dict[Ticket, _Run] = {}
        self._lock = threading.RLock()
        self._closed = False
        self._well = False
        self._stop = asyncio.Event()
        self._runner = asyncio.Runner(loop_factory=asyncio.new_event_loop)
        self._loop = self._runner.get_loop()
        self._thread = threading.Thread(target=self._live, name="remote", daemon=True)
        self._thread.start()

    def submit(self, job: Job, seconds: float, tell: Callable[[Progress], None]) -> Ticket:
        """Takes a place in the line; raises Exhausted where it is full or `seconds` until the deadline are too few."""
        with self._lock:
            self._admit(job, seconds)
            ticket = Ticket(job, tell)
            ticket.result.set_running_or_notify_cancel()  # from here on only this queue ends it
            self._waiting.append(_Run(ticket, time.monotonic() + seconds, job.work()))
            tell(Progress(ahead=len(self._running) + len(self._waiting) - 1))
            self._start_next()
            return ticket

    def cancel(self, ticket: Ticket) -> None:
        """Gives up a request at once, and closes its connections; without effect afterwards."""
        ticket.stop.set()
        with self._lock:
            run = self._running.get(ticket)
            if run is not None and run.future is not None:
                run.future.cancel()
                return
            for waiting in self._waiting:
                if waiting.ticket is ticket:
                    self._waiting.remove(waiting)
                    ticket.result.set_exception(Cancelled("the rendering was given up before it began"))
                    self._tell_places()
                    return

    def load(self) -> Load:
        """How busy it is now."""
        with self._lock:
            return Load(len(self._waiting), len(self._running), self._limit)

    def alive(self) -> bool:
        """Whether the engine was well and served the model when last asked, a moment ago."""
        return self._well and self._thread.is_alive()

    def close(self) -> None:
        """Gives up everything and leaves the engine."""
        with self._lock:
            self._closed = True
            tickets = [run.ticket for run in self._waiting] + list(self._running)
        for ticket in tickets:
            self.cancel(ticket)
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    def _admit(self, job: Job, seconds: float) -> None:
        if self._closed:
            raise Unavailable("the generator is stopping")
        if not self.alive():
            raise Unavailable(
                "the engine is not there, or not well", reason="REMOTE_UNREACHABLE", retry_after=CHECK_EVERY_SECONDS
            )
        ahead = [*self._waiting, *self._running.values()]
        before = sum(run.left for run in ahead) * self._rate / self._at_once
        if len(ahead) < self._at_once:
            before = 0.0
        if len(self._waiting) >= self._limit:
            raise Exhausted(
                f"{self._limit} requests are waiting, which is all that may",
                reason="QUEUE_FULL",
                retry_after=max(0.1, before / len(ahead)) if self._rate else 1.0,
            )
        needed = before + job.work() * self._rate
        if needed > seconds:
            raise Exhausted(
                f"rendering would end in about {needed:.1f} seconds, after the deadline",
                reason="DEADLINE_TOO_SHORT",
                retry_after=max(0.1, before),
            )

    def _start_next(self) -> None:
        """Hands over as many requests as there are places for."""
        while self._waiting and len(self._running) < self._at_once and not self._closed:
            run = self._waiting.popleft()
            self._running[run.ticket] = run
            run.future = asyncio.run_coroutine_threadsafe(self._render(run), self._loop)
            run.future.add_done_callback(partial(self._end, run))
            self._tell_places()

    def _end(self, run: _Run, done: Future[list[Rgb]]) -> None:
        """Answers, and frees the place."""
        with self._lock:
            del self._running[run.ticket]
            self._start_next()
        result = run.ticket.result
        if done.cancelled():
            result.set_exception(Cancelled("the rendering was given up"))
        elif error := done.exception():
            result.set_exception(error)
        else:
            result.set_result(done.result())

    def _tell_places(self) -> None:
        for place, run in enumerate(self._waiting):
            run.ticket.tell(Progress(ahead=len(self._running) + place))

    async def _render(self, run: _Run) -> list[Rgb]:
        """All pictures or none, before the deadline or not at all."""
        job = run.ticket.job
        begun = time.monotonic()
        self._tell_step(run)
        try:
            async with asyncio.timeout(run.deadline - begun), asyncio.TaskGroup() as tasks:
                drawing = [tasks.create_task(self._draw(run, index)) for index in range(job.count)]
        except TimeoutError:
            raise Unavailable("the engine did not answer before the deadline", reason="REMOTE_TIMEOUT") from None
        except ExceptionGroup as errors:  # the first failure has ended the others
            raise errors.exceptions[0] from None
        taken = (time.monotonic() - begun) / job.work()
        self._rate += (_FRESH if self._rate else 1.0) * (taken - self._rate)
        return [task.result() for task in drawing]

    async def _draw(self, run: _Run, index: int) -> Rgb:
        picture = await self._engine.draw(run.ticket.job, index)
        run.left -= run.ticket.job.steps
        self._tell_step(run)
        return picture

    def _tell_step(self, run: _Run) -> None:
        """The engine tells no steps: they are counted as its pictures come."""
        job = run.ticket.job
        run.ticket.tell(Progress(0, (job.work() - run.left) // job.count, job.steps))

    def _live(self) -> None:
        with self._runner:
            self._runner.run(self._watch())

    async def _watch(self) -> None:
        """Asks for the engine's health until the end."""
        last: str | None = None
        while not self._stop.is_set():
            why = await self._lacking()
            self._well = not why
            if why != last:
                log.info("engine", well=self._well, why=why or "all is there")
            last = why
            with suppress(TimeoutError):
                async with asyncio.timeout(CHECK_EVERY_SECONDS):
                    await self._stop.wait()
        await self._engine.close()

    async def _lacking(self) -> str:
        try:
            await self._engine.check()
        except PortcullisError as error:
            return error.message
        return ""
