"""Steady traffic of two platforms, as a good client sends it: what fails is sent again under the same request id.

Every request has an end user of its own, so that what it cost can be read from the books.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from random import Random
from uuid import uuid4

from benchmarks.chaos.place import OTHER_TENANT, ChaosHouse
from portcullis.aio import AsyncClient
from portcullis.calls import Event
from portcullis.errors import PortcullisError
from portcullis.v1 import gateway_pb2
from services.commands.load_mix import drawn
from services.commands.provision import TENANT

ALLOWED = "a red circle above a blue square on a yellow background, number {}"
HELD = "a blue square on an election poster"
VIOLATING = "a man stabbing another man with a knife, blood everywhere"
DEADLINE_SECONDS = 10.0
EVERY_SECONDS = 1.2  # between arrivals, on average
PAUSE_SECONDS = 2.0  # before a failed request is sent again, where the house says less
LONGEST_SECONDS = 25.0  # how long it is sent again; the rest is tried once more at the end of all
EDIT = "a green triangle, number {}"
AT_ONCE = 3  # at the end
KINDS = ("check", "create", "held", "violating", "variation", "edit")
WEIGHTS = (8, 6, 2, 1, 1, 3)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One sending of a request: when, for how long (seconds), and how it ended."""

    at: float
    seconds: float
    code: str
    reason: str = ""


@dataclass(slots=True)
class Request:
    """One request from its first sending to its answer: what was acknowledged of it."""

    row: str
    tenant: str
    kind: str
    prompt: str = field(repr=False)
    request_id: str = field(default_factory=lambda: str(uuid4()))
    account: str = field(default_factory=lambda: f"chaos-{uuid4().hex}")
    attempts: list[Attempt] = field(default_factory=list[Attempt])
    answered: bool = False
    rendered: bool = False
    decision_id: str = ""
    images: list[str] = field(default_factory=list[str])
    held: list[str] = field(default_factory=list[str])


class Traffic:
    """Sends until it is stopped; remembers everything."""

    def __init__(self, house: ChaosHouse, seed: int) -> None:
        self._clients = {t: AsyncClient(house.profile(t), deadline=DEADLINE_SECONDS) for t in (TENANT, OTHER_TENANT)}
        self._random = Random(seed)
        self._picture, self._mask = drawn(self._random)
        self._sending: set[asyncio.Task[None]] = set()
        self._waiting: dict[str, float] = {}  # since when, by request id
        self.requests: list[Request] = []
        self.row = "before"

    @property
    def longest_wait(self) -> float:
        """Seconds that the oldest attempt without an end has taken."""
        return time.monotonic() - min(self._waiting.values(), default=time.monotonic())

    async def close(self) -> None:
        """Ends the connections."""
        for client in self._clients.values():
            await client.close()

    async def flow(self) -> None:
        """Sends at random until cancelled; what is on its way then is waited for."""
        number = 0
        try:
            while True:
                await asyncio.sleep(self._random.expovariate(1 / EVERY_SECONDS))
                number += 1
                task = asyncio.create_task(self._carry(self._request(number), LONGEST_SECONDS))
                self._sending.add(task)
                task.add_done_callback(self._sending.discard)
        finally:
            if self._sending:
                await asyncio.wait(self._sending)

    async def finish(self, seconds: float) -> None:
        """Sends again whatever has no answer yet, each for so long, a few at once."""
        places = asyncio.Semaphore(AT_ONCE)

        async def carry(request: Request) -> None:
            async with places:
                await self._carry(request, seconds)

        await asyncio.gather(*(carry(request) for request in self.requests if not request.answered))

    def _request(self, number: int) -> Request:
        kind = self._random.choices(KINDS, WEIGHTS)[0]
        tenant = self._random.choice((TENANT, OTHER_TENANT))
        words = {"held": HELD, "violating": VIOLATING, "variation": "", "edit": EDIT.format(number)}
        request = Request(self.row, tenant, kind, words.get(kind, ALLOWED.format(number)))
        self.requests.append(request)
        return request

    async def _carry(self, request: Request, seconds: float) -> None:
        until = time.monotonic() + seconds
        while not request.answered:
            began, pause = time.monotonic(), PAUSE_SECONDS
            code, reason = "OK", ""
            self._waiting[request.request_id] = began
            try:
                await self._send(request)
            except PortcullisError as error:
                code, reason = error.code, error.reason
                pause = max(pause, min(error.retry_after or 0.0, 5.0))
            finally:
                del self._waiting[request.request_id]
            request.attempts.append(Attempt(began, time.monotonic() - began, code, reason))
            if request.answered or time.monotonic() + pause > until:
                return
            await asyncio.sleep(pause)

    async def _send(self, request: Request) -> None:
        client = self._clients[request.tenant]
        who = {"account": request.account, "request_id": request.request_id}
        if request.kind == "check":
            answer = await client.check_prompt(request.prompt, **who)  # type: ignore[arg-type]
            request.decision_id, request.answered = answer.decision_id, True
            return
        match request.kind:
            case "variation":
                events = client.vary_images(self._picture, count=1, **who)  # type: ignore[arg-type]
            case "edit":
                events = client.edit_images(request.prompt, self._picture, self._mask, count=1, **who)  # type: ignore[arg-type]
            case _:
                events = client.create_images(request.prompt, count=1, **who)  # type: ignore[arg-type]
        await _read(request, events)


async def _read(request: Request, events: AsyncIterator[Event]) -> None:
    """Reads an answer to its end; pictures count as let out also where it breaks off."""
    held: list[str] = []
    async for event in events:
        match event:
            case gateway_pb2.Accepted():
                request.decision_id = event.decision_id
            case gateway_pb2.Image():
                request.images.append(event.provenance.image_id)
            case gateway_pb2.Held():
                held.append(event.review_item_id)
            case gateway_pb2.Done():
                request.rendered = True
            case _:
                pass
    request.held, request.answered = held, True
