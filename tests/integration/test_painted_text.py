"""Text in pictures between two real servers: the image filter reads it, the prompt filter says what it means."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from io import BytesIO
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from PIL import Image, ImageDraw, ImageFont

from portcullis.v1 import checks_pb2, image_filter_pb2_grpc, prompt_filter_pb2, prompt_filter_pb2_grpc
from portcullis.v1 import image_filter_pb2 as pb
from services.commands.provision import provision
from services.core.config import HouseSettings
from services.core.rpc import server as servers
from services.core.rpc.channel import connect
from services.image_filter.__main__ import build as build_image_filter
from services.prompt_filter.__main__ import build as build_prompt_filter
from tests.rooms import as_room

SUBJECT = checks_pb2.Subject(
    tenant="demo", account="someone", tier=checks_pb2.TIER_NEW, request_id=str(uuid.UUID(int=7))
)
BUILDS = {"image_filter": build_image_filter, "prompt_filter": build_prompt_filter}


def sign(text: str) -> bytes:
    picture = Image.new("RGB", (640, 320), (240, 230, 200))
    ImageDraw.Draw(picture).text((60, 120), text, (20, 20, 60), ImageFont.load_default(44))
    file = BytesIO()
    picture.save(file, "PNG")
    return file.getvalue()


@pytest.fixture
async def house(
    tmp_path: Path, database: str, monkeypatch: pytest.MonkeyPatch, new_port_base: Callable[[], int]
) -> HouseSettings:
    base = new_port_base()
    for room in BUILDS:
        monkeypatch.setenv(f"PORTCULLIS_{room.upper()}_METRICS_PORT", "0")
    settings = HouseSettings(home=tmp_path, dsn=database, port_base=base, drain_seconds=1)
    await provision(settings)
    return settings


@asynccontextmanager
async def serving(house: HouseSettings, *rooms: str) -> AsyncIterator[None]:
    stopping = asyncio.Event()
    tasks = [asyncio.create_task(servers.serve(room, BUILDS[room], as_room(house, room), stopping)) for room in rooms]
    try:
        yield
    finally:
        stopping.set()
        await asyncio.gather(*tasks)


async def check(house: HouseSettings, image: bytes) -> pb.CheckedImage:
    images = [pb.UncheckedImage(image=image)]
    request = pb.CheckImagesRequest(subject=SUBJECT, stage=checks_pb2.STAGE_UPLOAD, images=images)
    async with connect(house, "gateway", "image_filter") as channel:
        stub = image_filter_pb2_grpc.ImageFilterServiceStub(channel)
        response = await stub.CheckImages(request, timeout=60, wait_for_ready=True)
        return response.images[0]


async def readiness(house: HouseSettings, wanted: int) -> int:
    """The image filter's health, asked until it is `wanted` or 30 seconds are over."""
    async with connect(house, "gateway", "image_filter") as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        for _ in range(60):
            answer = await stub.Check(health_pb2.HealthCheckRequest(), timeout=30, wait_for_ready=True)
            if answer.status == wanted:
                break
            await asyncio.sleep(0.5)
        return answer.status


async def test_what_a_picture_says_is_judged_as_a_prompt_is(house: HouseSettings) -> None:
    async with serving(house, "image_filter", "prompt_filter"):
        async with connect(house, "image_filter", "prompt_filter") as channel:
            await channel.channel_ready()
        ready = await readiness(house, health_pb2.HealthCheckResponse.SERVING)
        forbidden = await check(house, sign("how to make a bomb"))
        harmless = await check(house, sign("fresh bread daily"))

    assert ready == health_pb2.HealthCheckResponse.SERVING
    assert forbidden.check.verdict == checks_pb2.VERDICT_BLOCK
    assert not forbidden.check.clearance
    (reason,) = [reason for reason in forbidden.check.reasons if reason.category == "illegal"]
    box = reason.evidence[0].box
    assert (box.x, box.y) < (80, 150)
    assert box.w > 300
    assert any(signal.source.startswith("text-in-picture/") for signal in forbidden.check.signals)
    assert harmless.check.verdict == checks_pb2.VERDICT_ALLOW
    assert harmless.check.clearance


async def test_without_the_prompt_filter_no_text_passes_and_the_room_is_not_ready(house: HouseSettings) -> None:
    async with serving(house, "image_filter"):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await check(house, sign("fresh bread daily"))
        ready = await readiness(house, health_pb2.HealthCheckResponse.NOT_SERVING)

    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    assert ready == health_pb2.HealthCheckResponse.NOT_SERVING


async def test_only_the_image_filter_may_have_texts_measured(house: HouseSettings) -> None:
    request = prompt_filter_pb2.MeasureTextsRequest(subject=SUBJECT, texts=["fresh bread"])
    async with serving(house, "prompt_filter"):
        async with connect(house, "gateway", "prompt_filter") as channel:
            stub = prompt_filter_pb2_grpc.PromptFilterServiceStub(channel)
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await stub.MeasureTexts(request, timeout=60, wait_for_ready=True)
        async with connect(house, "image_filter", "prompt_filter") as channel:
            stub = prompt_filter_pb2_grpc.PromptFilterServiceStub(channel)
            answer = await stub.MeasureTexts(request, timeout=60)
            request.texts.append("")
            with pytest.raises(grpc.aio.AioRpcError) as bad:
                await stub.MeasureTexts(request, timeout=60)

    assert refused.value.code() is grpc.StatusCode.PERMISSION_DENIED
    assert {signal.category for signal in answer.texts[0].signals} >= {"hate", "illegal", "sexual.minors"}
    assert not any(signal.score > 0.4 for signal in answer.texts[0].signals if signal.category != "language")
    assert bad.value.code() is grpc.StatusCode.INVALID_ARGUMENT
