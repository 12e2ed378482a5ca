"""Sends what arrives when it arrives, whatever the house does meanwhile, and notes what came of each request.

Latency counts from the moment a request was meant to be sent. Counted from the moment it was sent, a sender that the
house holds up would leave out the very waits that users had: "coordinated omission" (Gil Tene, "How NOT to Measure
Latency", 2013; https://github.com/giltene/wrk2). How late the sender itself was is reported beside it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field

from portcullis.aio import AsyncClient
from portcullis.calls import Event
from portcullis.errors import PortcullisError
from portcullis.v1 import gateway_pb2
from portcullis.v1.checks_pb2 import Check, Timing, Verdict
from services.commands.load_mix import Ask, Flavour, Kind

# More than any house answers at once: a sender must end somewhere, and says so when it does.
MOST_IN_FLIGHT = 5_000


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one request.

    `at` is when it was meant to arrive, seconds from the start; `late` by how much the sender missed that; `seconds`
    from `at` to the end of the answer; `code` "OK", or the status of the error with its reason. Of an answer: the
    `verdict`, the `categories` that refused or held, the pictures that came, and `steps`: seconds by step.
    """

    kind: Kind
    flavour: Flavour
    at: float
    late: float
    seconds: float
    code: str = "OK"
    reason: str = ""
    verdict: str = ""
    categories: tuple[str, ...] = ()
    pictures: int = 0
    steps: dict[str, float] = field(default_factory=dict[str, float])


@dataclass(slots=True)
class _Answer:
    """What is gathered while an answer comes."""

    verdict: str = "ALLOW"
    categories: list[str] = field(default_factory=list[str])
    pictures: int = 0
    steps: dict[str, float] = field(default_factory=dict[str, float])

    def shut(self, verdict: str, check: Check | gateway_pb2.Refused | gateway_pb2.Held) -> None:
        self.verdict = max(self.verdict, verdict, key=("ALLOW", "REVIEW", "BLOCK").index)
        self.categories.extend(dict.fromkeys(reason.category for reason in check.reasons))

    def timed(self, timings: Iterable[Timing]) -> None:
        for timing in timings:
            self.steps[timing.step] = self.steps.get(timing.step, 0.0) + timing.milliseconds / 1000


@dataclass(frozen=True, slots=True)
class Rendering:
    """How pictures are wanted: how many, their side in pixels and the steps (0: the model's own)."""

    count: int = 1
    size: int = 0
    steps: int = 0


class Run:
    """One run of requests against one house."""

    def __init__(self, client: AsyncClient, rendering: Rendering, note: Callable[[Outcome], None]) -> None:
        """`note` is told each outcome as it comes."""
        self._client = client
        self._rendering = rendering
        self._note = note
        self._running: set[asyncio.Task[None]] = set()
        self.sent = 0
        self.most_in_flight = 0
        self._began = 0.0

    @property
    def in_flight(self) -> int:
        """Requests that wait for their answer."""
        return len(self._running)

    @property
    def elapsed(self) -> float:
        """Seconds since the first arrival was waited for."""
        return time.monotonic() - self._began

    async def go(self, arrivals: Iterable[float], asks: Iterator[Ask], stopping: asyncio.Event) -> None:
        """Sends until the arrivals or the requests end, or `stopping`; returns when the last answer is there.

        Cancelled, it cancels what still runs.
        """
        self._began = time.monotonic()
        try:
            for at, ask in zip(arrivals, asks, strict=False):
                await _until(self._began + at, stopping)
                if stopping.is_set():
                    break
                self._send(ask, at)
            while self._running:
                await asyncio.wait(self._running)
        finally:
            for task in self._running:
                task.cancel()

    def _send(self, ask: Ask, at: float) -> None:
        self.sent += 1
        if self.in_flight >= MOST_IN_FLIGHT:
            self._note(Outcome(ask.kind, ask.flavour, at, 0.0, 0.0, "NOT_SENT", "SENDER_FULL"))
            return
        task = asyncio.create_task(self._one(ask, at))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        self.most_in_flight = max(self.most_in_flight, self.in_flight)

    async def _one(self, ask: Ask, at: float) -> None:
        late = self.elapsed - at
        answer, code, reason = _Answer(), "OK", ""
        try:
            await self._ask(ask, answer)
        except PortcullisError as error:
            code, reason = error.code, error.reason
        taken = self.elapsed - at
        verdict = answer.verdict if code == "OK" else ""
        self._note(
            Outcome(
                ask.kind,
                ask.flavour,
                at,
                late,
                taken,
                code,
                reason,
                verdict,
                tuple(answer.categories),
                answer.pictures,
                answer.steps,
            )
        )

    async def _ask(self, ask: Ask, answer: _Answer) -> None:
        match ask.kind:
            case "check_prompt":
                _judge((await self._client.check_prompt(ask.prompt, account=ask.account)).check, answer)
            case "check_upload":
                _judge((await self._client.check_upload(ask.image, account=ask.account)).check, answer)
            case "check_pair":
                pair = await self._client.check_pair(ask.prompt, ask.image, ask.mask, account=ask.account)
                for name in ("prompt", "upload", "pair"):
                    if pair.HasField(name):
                        _judge(getattr(pair, name), answer)
            case _:
                await _watch(self._events(ask), answer)

    def _events(self, ask: Ask) -> AsyncIterator[Event]:
        how = self._rendering
        if ask.kind == "create":
            return self._client.create_images(
                ask.prompt, account=ask.account, count=how.count, size=how.size, steps=how.steps
            )
        count = min(how.count, 3)  # the contract's most for pictures like a picture
        if ask.kind == "edit":
            return self._client.edit_images(
                ask.prompt, ask.image, ask.mask, account=ask.account, count=count, steps=how.steps
            )
        return self._client.vary_images(ask.image, account=ask.account, count=count, steps=how.steps)


def _judge(check: Check, answer: _Answer) -> None:
    answer.timed(check.timings)
    if check.verdict != Verdict.VERDICT_ALLOW:
        answer.shut("REVIEW" if check.verdict == Verdict.VERDICT_REVIEW else "BLOCK", check)


async def _watch(events: AsyncIterator[Event], answer: _Answer) -> None:
    """Reads a creating answer to its end; how long it stood in the generator's line is told by its progress alone."""
    queued: float | None = None
    async for event in events:
        match event:
            case gateway_pb2.Progress(stage="queue"):
                queued = queued or time.monotonic()
            case gateway_pb2.Progress(stage="render") if queued and "queue" not in answer.steps:
                answer.steps["queue"] = time.monotonic() - queued
            case gateway_pb2.Image():
                answer.pictures += 1
            case gateway_pb2.Refused():
                answer.shut("BLOCK", event)
            case gateway_pb2.Held():
                answer.shut("REVIEW", event)
            case gateway_pb2.Done():
                answer.timed(event.timings)
            case _:
                pass


async def _until(moment: float, stopping: asyncio.Event) -> None:
    pause = moment - time.monotonic()
    if pause > 0:
        with suppress(TimeoutError):
            async with asyncio.timeout(pause):
                await stopping.wait()
