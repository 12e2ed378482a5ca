"""A storm on a real generator, its server, clearances and model: callers who leave, deadlines, bad masks, no memory.

Every request must be answered; every picture must be the one that its request gets alone; nothing may stay behind.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import random
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest import mock

import grpc
import numpy as np
import psutil
import torch

from portcullis.v1 import checks_pb2, generator_pb2_grpc
from portcullis.v1 import generator_pb2 as pb
from services.core import clearance
from services.core.clearance import Claim, ClearanceSigner
from services.core.config import HouseSettings
from services.core.imaging import decode_rgb, encode
from services.core.policy.categories import Stage
from services.core.rpc import server as servers
from services.core.rpc import tls
from services.core.rpc.channel import connect
from services.generator.__main__ import build
from services.generator.engine import UNWATCHED, Engine
from services.generator.job import Job, Rgb

CLIENTS = 48
KINDS = 24  # different requests, so that each has its reference picture
CANCELLED, LATE, BAD_MASK, NO_MEMORY = 0.3, 0.1, 0.05, 0.02
PROMPT = "a red circle on a white background"
ISSUERS: Mapping[Stage, str] = {"prompt": "prompt_filter", "upload": "image_filter", "pair": "combo_filter"}
SUBJECT = {"tenant": "bench", "account": "someone"}


@dataclass(frozen=True, slots=True)
class Outcome:
    """`answers` counts how requests ended; `wrong` pictures; megabytes of memory and places that stayed behind."""

    answers: Mapping[str, int]
    wrong: int
    leaked_megabytes: float
    places_left: int


@dataclass(frozen=True, slots=True)
class Kind:
    """A request with its reference pictures, and the same with a mask that marks nothing."""

    request: pb.GenerateRequest
    pictures: Sequence[Rgb]
    spoilt: pb.GenerateRequest | None = None


async def storm(engine: Engine, requests: int) -> Outcome:
    """So many mixed requests; `engine` draws the references."""
    rng = random.Random(8)
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        kinds = [_kind(engine, home, number) for number in range(KINDS)] if _keys(home) else []
        async with _generator(home) as stub:
            callers = _Callers(stub, kinds, rng)
            await callers.run(max(CLIENTS, requests // 10))  # memory has its size from here on
            callers.answers.clear()
            before = _megabytes()
            await callers.run(requests)
            await asyncio.sleep(1)
            load = await stub.GetLoad(pb.GetLoadRequest(), timeout=30)
            return Outcome(dict(callers.answers), callers.wrong, _megabytes() - before, load.queued + load.running)


class _Callers:
    """Clients that take the next request each, until all have been made."""

    def __init__(self, stub: Any, kinds: Sequence[Kind], rng: random.Random) -> None:
        self._stub = stub
        self._kinds = kinds
        self._rng = rng
        self.answers: Counter[str] = Counter()
        self.wrong = 0

    async def run(self, requests: int) -> None:
        """Makes so many requests, `CLIENTS` at a time."""
        numbers = iter(range(requests))

        async def client() -> None:
            for _ in numbers:
                self.answers[await self._ask(self._rng.choice(self._kinds))] += 1

        await asyncio.gather(*(client() for _ in range(CLIENTS)))

    async def _ask(self, kind: Kind) -> str:
        chance = self._rng.random()
        if chance < CANCELLED:
            return await self._leave(kind)
        if chance < CANCELLED + LATE:
            return await self._render(kind, self._rng.uniform(0.05, 0.5))
        if chance < CANCELLED + LATE + BAD_MASK and kind.spoilt is not None:
            return await self._render(replace(kind, request=kind.spoilt), 100)
        return await self._render(kind, 100)

    async def _leave(self, kind: Kind) -> str:
        call = asyncio.ensure_future(self._render(kind, 100))
        await asyncio.wait([call], timeout=self._rng.uniform(0, 3))
        call.cancel()
        try:
            return await call
        except asyncio.CancelledError:
            return "CANCELLED"

    async def _render(self, kind: Kind, seconds: float) -> str:
        try:
            call = self._stub.Generate(kind.request, timeout=seconds)
            images = [decode_rgb(event.image.image) async for event in call if event.HasField("image")]
        except grpc.aio.AioRpcError as error:
            return error.code().name
        self.wrong += not _same(kind, images)
        return "OK"


def _same(kind: Kind, images: Sequence[Rgb]) -> bool:
    """One grey level may differ: the shape of a batch changes the order of floating-point sums."""
    if len(images) != len(kind.pictures):
        return False
    return all(np.abs(a.astype(int) - b.astype(int)).max() <= 1 for a, b in zip(images, kind.pictures, strict=True))


def _kind(engine: Engine, home: Path, number: int) -> Kind:
    """Creations, edits and variations of 2 to 6 steps and one to three pictures."""
    rng = np.random.default_rng(number)
    image = rng.integers(0, 256, (90, 120, 3), dtype=np.uint8)
    mask = np.zeros((90, 120), dtype=bool)
    mask[20:70, 30:80] = True
    card = engine.family.card
    job = Job("create", PROMPT, "", None, None, 1 + number % 3, card.size, 2 + number % 5, seed=number)
    match number % 3:
        case 1:
            job = replace(job, operation="edit", image=image, mask=mask)
        case 2:
            job = replace(job, operation="variation", words="", image=image)
    spoilt = None if job.mask is None else _request(home, replace(job, mask=job.mask & False))
    return Kind(_request(home, job), engine.render(job, UNWATCHED), spoilt)


OPERATIONS = {
    "create": checks_pb2.OPERATION_CREATE,
    "edit": checks_pb2.OPERATION_EDIT,
    "variation": checks_pb2.OPERATION_VARIATION,
}


def _request(home: Path, job: Job) -> pb.GenerateRequest:
    image = b"" if job.image is None else encode(job.image)
    mask = b"" if job.mask is None else encode(np.where(job.mask, 255, 0).astype(np.uint8))
    inputs = {"prompt": job.words.encode(), "image": image, "mask": mask}
    given = {name: content for name, content in inputs.items() if content}
    pictures = {name: content for name, content in given.items() if name != "prompt"}
    return pb.GenerateRequest(
        subject=checks_pb2.Subject(**SUBJECT),
        operation=OPERATIONS[job.operation],
        prompt=job.words,
        image=image,
        mask=mask,
        count=job.count,
        steps=job.steps,
        seed=job.seed,
        clearances=[
            _cleared(home, "prompt", {"prompt": inputs["prompt"]}),
            _cleared(home, "upload", pictures),
            _cleared(home, "pair", given),
        ],
    )


def _cleared(home: Path, stage: Stage, inputs: Mapping[str, bytes]) -> str:
    signer = ClearanceSigner.load(home / "keys" / "clearance", ISSUERS[stage], timedelta(hours=2))
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in inputs.items()}
    return signer.issue(Claim(SUBJECT["tenant"], SUBJECT["account"], stage, digests, "policy"))


def _keys(home: Path) -> bool:
    tls.create_ca(home / "tls")
    for identity in ("gateway", "generator"):
        tls.issue_certificate(home / "tls", identity)
    clearance.create_keys(home / "keys" / "clearance")
    return True


@asynccontextmanager
async def _generator(home: Path) -> AsyncIterator[Any]:
    """A generator with room for all callers, whose passes of several rows sometimes find no memory."""
    settings = HouseSettings(home=home, port_base=17_400, drain_seconds=1)
    stopping = asyncio.Event()
    variables = {
        "PORTCULLIS_GENERATOR_METRICS_PORT": "0",
        "PORTCULLIS_GENERATOR_QUEUE_LIMIT": str(2 * CLIENTS),
        "PORTCULLIS_GENERATOR_MAX_CONCURRENT": str(4 * CLIENTS),
    }
    look, rng = Engine.look, random.Random(9)

    def looking(engine: Engine, rows: Sequence[Any]) -> Any:
        if len(rows) > 1 and rng.random() < NO_MEMORY:
            raise torch.OutOfMemoryError("injected")
        return look(engine, rows)

    with mock.patch.dict(os.environ, variables):
        serving = asyncio.create_task(servers.serve("generator", build, settings, stopping))
        try:
            async with connect(settings, "gateway", "generator") as channel:
                stub = generator_pb2_grpc.GeneratorServiceStub(channel)
                await stub.GetLoad(pb.GetLoadRequest(), timeout=110, wait_for_ready=True)
                with mock.patch.object(Engine, "look", looking):
                    yield stub
        finally:
            stopping.set()
            await serving


def _megabytes() -> float:
    return float(psutil.Process().memory_info().rss / 2**20)
