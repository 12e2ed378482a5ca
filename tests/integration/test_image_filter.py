"""The image filter as a real server: real TLS, Postgres, detectors and clearances."""

from __future__ import annotations

import asyncio
import hashlib
import uuid
from collections.abc import AsyncIterator, Callable
from io import BytesIO
from pathlib import Path

import grpc
import numpy as np
import pytest
from PIL import Image
from skimage import data

from portcullis.v1 import checks_pb2, image_filter_pb2_grpc
from portcullis.v1 import image_filter_pb2 as pb
from services.commands.provision import provision
from services.core.clearance import ClearanceVerifier
from services.core.config import HouseSettings
from services.core.rpc import server as servers
from services.core.rpc.channel import connect
from services.core.store import banks as bank_store
from services.core.store.database import Database
from services.image_filter.__main__ import build
from services.image_filter.hashes import entry_of
from tests.rooms import as_room

SUBJECT = checks_pb2.Subject(
    tenant="demo", account="someone", tier=checks_pb2.TIER_NEW, request_id=str(uuid.UUID(int=7))
)


def png(pixels: np.ndarray) -> bytes:
    file = BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def scene() -> np.ndarray:
    pixels = np.full((256, 256, 3), (240, 220, 40), np.uint8)
    pixels[60:200, 60:200] = (200, 30, 30)
    return pixels


@pytest.fixture
async def house(
    tmp_path: Path, database: str, monkeypatch: pytest.MonkeyPatch, new_port_base: Callable[[], int]
) -> AsyncIterator[HouseSettings]:
    base = new_port_base()
    monkeypatch.setenv("PORTCULLIS_IMAGE_FILTER_METRICS_PORT", "0")
    settings = HouseSettings(home=tmp_path, dsn=database, port_base=base, drain_seconds=1)
    await provision(settings)
    stopping = asyncio.Event()
    task = asyncio.create_task(servers.serve("image_filter", build, as_room(settings, "image_filter"), stopping))
    yield settings
    stopping.set()
    await task


async def check(
    house: HouseSettings, identity: str = "gateway", stage: int = checks_pb2.STAGE_UNSPECIFIED, **fields: object
) -> pb.CheckedImage:
    return (await check_all(house, stage, [pb.UncheckedImage(**fields)], identity))[0]


async def check_all(
    house: HouseSettings, stage: int, images: list[pb.UncheckedImage], identity: str = "gateway"
) -> list[pb.CheckedImage]:
    request = pb.CheckImagesRequest(subject=SUBJECT, stage=stage, images=images)
    async with connect(house, identity, "image_filter") as channel:
        stub = image_filter_pb2_grpc.ImageFilterServiceStub(channel)
        response = await stub.CheckImages(request, timeout=30, wait_for_ready=True)
        return list(response.images)


async def failure(awaitable: object) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await awaitable
    return caught.value


async def test_a_drawn_upload_is_cleared_with_its_mask(house: HouseSettings) -> None:
    mask = np.zeros((256, 256), np.uint8)
    mask[:128] = 255

    response = await check(house, stage=checks_pb2.STAGE_UPLOAD, image=png(scene()), mask=png(mask))

    assert response.check.verdict == checks_pb2.VERDICT_ALLOW
    digests = {
        name: hashlib.sha256(part).hexdigest() for name, part in (("image", response.image), ("mask", response.mask))
    }
    verifier = ClearanceVerifier.load(house.home / "keys" / "clearance" / "jwks.json", "generator")
    verifier.verify(response.check.clearance, stage="upload", tenant="demo", account="someone", digests=digests)


async def test_an_output_is_bound_to_its_request(house: HouseSettings) -> None:
    request = "ab" * 32

    response = await check(house, stage=checks_pb2.STAGE_OUTPUT, image=png(scene()), request_digest=request)

    digests = {"image": hashlib.sha256(response.image).hexdigest(), "request": request}
    verifier = ClearanceVerifier.load(house.home / "keys" / "clearance" / "jwks.json", "provenance")
    verifier.verify(response.check.clearance, stage="output", tenant="demo", account="someone", digests=digests)


async def test_the_outputs_of_a_request_are_judged_each_for_itself(house: HouseSettings) -> None:
    pictures = [scene(), data.astronaut(), scene()[:, ::-1]]
    images = [pb.UncheckedImage(image=png(picture), request_digest="ab" * 32) for picture in pictures]

    first, face, last = await check_all(house, checks_pb2.STAGE_OUTPUT, images)

    assert [one.check.verdict for one in (first, face, last)] == [
        checks_pb2.VERDICT_ALLOW,
        checks_pb2.VERDICT_REVIEW,
        checks_pb2.VERDICT_ALLOW,
    ]
    assert first.check.clearance != last.check.clearance
    assert not face.check.clearance


async def test_no_picture_or_too_many_are_refused(house: HouseSettings) -> None:
    one = pb.UncheckedImage(image=png(scene()))

    for images in ([], [one] * 17):
        error = await failure(check_all(house, checks_pb2.STAGE_UPLOAD, images))

        assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert "1 to 16" in (error.details() or "")


async def test_a_photo_of_a_face_is_refused_with_its_box(house: HouseSettings) -> None:
    response = await check(house, stage=checks_pb2.STAGE_UPLOAD, image=png(data.astronaut()))

    assert response.check.verdict == checks_pb2.VERDICT_BLOCK
    assert not response.check.clearance
    (reason,) = [reason for reason in response.check.reasons if reason.category == "realistic_face"]
    assert reason.evidence[0].box.w > 20


async def test_a_known_image_is_refused_once_a_bank_has_it(house: HouseSettings) -> None:
    picture = data.coffee()
    database = await Database.open(house.dsn)
    async with database.transaction() as conn:
        entry = entry_of(picture, "test", "coffee")
        await bank_store.put(conn, None, "test", [entry], "ada", "image_banks.add", "entries")
    await database.close()

    async with asyncio.timeout(20):
        while True:
            response = await check(house, stage=checks_pb2.STAGE_UPLOAD, image=png(picture[:, ::-1]))
            if response.check.scores["known_image"] == 1.0:
                break
            await asyncio.sleep(0.5)

    assert response.check.verdict == checks_pb2.VERDICT_BLOCK
    match = next(signal.evidence.match for signal in response.check.signals if signal.category == "known_image")
    assert (match.bank, match.entry) == ("test", "coffee")


BAD: list[tuple[dict[str, object], str]] = [
    ({"stage": checks_pb2.STAGE_UPLOAD, "image": b""}, "empty"),
    ({"stage": checks_pb2.STAGE_UPLOAD, "image": b"<svg/>"}, "not a known picture"),
    ({"stage": checks_pb2.STAGE_PROMPT, "image": b"x"}, "stage"),
    ({"image": b"x"}, "stage"),
    ({"stage": checks_pb2.STAGE_OUTPUT, "image": png(scene())}, "request_digest"),
    ({"stage": checks_pb2.STAGE_UPLOAD, "image": png(scene()), "mask": png(scene()[:9])}, "mask"),
]


async def test_bad_input_gets_a_clear_error(house: HouseSettings) -> None:
    for fields, word in BAD:
        error = await failure(check(house, **fields))

        assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert word in (error.details() or "")


async def test_only_the_gateway_may_call(house: HouseSettings) -> None:
    error = await failure(check(house, "review", stage=checks_pb2.STAGE_UPLOAD, image=png(scene())))

    assert error.code() is grpc.StatusCode.PERMISSION_DENIED
