"""What safety adds to one creation: the checks of four pictures of 512×512, asked as the gateway does.

The embedded model draws 256×256, so the pictures are drawn here; all else is the house's own.
"""

from __future__ import annotations

import asyncio
import io
import time
from dataclasses import dataclass
from random import Random
from uuid import uuid4

import httpx
import numpy as np
from PIL import Image
from prometheus_client.parser import text_string_to_metric_families

from portcullis.v1 import checks_pb2 as pb
from portcullis.v1 import image_filter_pb2, provenance_pb2
from services.commands.load_mix import drawn
from services.core.clearance import digest
from services.core.config import METRICS_OFFSET, HouseSettings
from services.gateway.rooms import Rooms

PICTURES = 4  # of one creation
STEPS = ("check", "screen", "mark")
MEASURED = ("prompt_filter", "image_filter", "combo_filter", "generator", "provenance")


@dataclass(frozen=True, slots=True)
class Path:
    """Milliseconds of each step of one creation."""

    check: float
    screen: float
    mark: float

    @property
    def added(self) -> float:
        """What the caller waits longer for."""
        return self.check + self.screen + self.mark


async def measure(house: HouseSettings, times: int, pictures: int = PICTURES) -> list[Path]:
    """Goes the safety path so many times, one after the other, after one to warm up."""
    rooms = Rooms(house, 30.0)
    random = Random(11)
    try:
        paths = [await _once(rooms, random, pictures) for _ in range(times + 1)]
    finally:
        await rooms.close()
    return paths[1:]


async def _once(rooms: Rooms, random: Random, count: int) -> Path:
    subject = pb.Subject(tenant="demo", account="bench", tier=pb.TIER_NEW, request_id=str(uuid4()))
    pictures = [_png(drawn(random)[0]) for _ in range(count)]
    request_digest = digest(random.randbytes(32))
    began = time.perf_counter()
    await rooms.check_prompt(subject, f"a red circle and {random.randrange(10**6)} stars", "")
    checked = time.perf_counter()
    request = image_filter_pb2.CheckImagesRequest(
        subject=subject,
        stage=pb.STAGE_OUTPUT,
        images=[image_filter_pb2.UncheckedImage(image=image, request_digest=request_digest) for image in pictures],
    )
    screened = await rooms.check_images(request)
    seen = time.perf_counter()
    await asyncio.gather(*(_mark(rooms, subject, one, request_digest) for one in screened))
    return Path(*(1000 * span for span in (checked - began, seen - checked, time.perf_counter() - seen)))


async def _mark(rooms: Rooms, subject: pb.Subject, one: image_filter_pb2.CheckedImage, request_digest: str) -> None:
    assert one.check.clearance, "a drawn picture is allowed"
    await rooms.mark(
        provenance_pb2.MarkImageRequest(
            subject=subject,
            image=one.image,
            clearance=one.check.clearance,
            request_digest=request_digest,
            decision_id=str(uuid4()),
            operation=pb.OPERATION_CREATE,
            model=pb.ModelVersion(name="bench", version="1", digest="0" * 64),
            format=pb.IMAGE_FORMAT_PNG,
        )
    )


def _png(data: bytes) -> bytes:
    out = io.BytesIO()
    Image.fromarray(np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))).save(out, "PNG")
    return out.getvalue()


async def step_seconds(house: HouseSettings) -> dict[str, float]:
    """How many seconds each step of each room has taken since it started: `room.step` → seconds."""
    found: dict[str, float] = {}
    async with httpx.AsyncClient() as client:
        for room in MEASURED:
            page = (await client.get(f"http://{house.bind}:{house.port(room) + METRICS_OFFSET}/metrics")).text
            for family in text_string_to_metric_families(page):
                for sample in family.samples:
                    if sample.name == "portcullis_step_seconds_sum":
                        found[f"{room}.{sample.labels['step']}"] = sample.value
    return found
