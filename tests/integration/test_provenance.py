"""Provenance as a real server: real TLS, Postgres, clearances, manifests and marks."""

from __future__ import annotations

import asyncio
import hashlib
import uuid
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path

import grpc
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from portcullis.v1 import checks_pb2, provenance_pb2_grpc
from portcullis.v1 import provenance_pb2 as pb
from services.commands.default_policy import DEFAULT_POLICY
from services.commands.provision import provision
from services.core.clearance import Claim, ClearanceSigner
from services.core.config import HouseSettings
from services.core.imaging import decode_rgb, encode, sanitise
from services.core.policy.document import load_policy
from services.core.rpc import server as servers
from services.core.rpc.channel import connect
from services.core.store import images, policies
from services.core.store.database import Database
from services.provenance import signature
from services.provenance.__main__ import build
from services.provenance.marking import load_codec
from tests.rooms import as_room

REQUEST = "ab" * 32
DECISION = str(uuid.UUID(int=42))


def subject(tenant: str = "demo") -> checks_pb2.Subject:
    return checks_pb2.Subject(tenant=tenant, account="someone", request_id=str(uuid.UUID(int=7)))


def scene(left: int = 60) -> bytes:
    pixels = np.full((256, 256, 3), (240, 220, 40), np.uint8)
    pixels[60:200, left : left + 90] = (200, 30, 30)
    return encode(pixels)


@pytest.fixture
async def house(
    tmp_path: Path, database: str, monkeypatch: pytest.MonkeyPatch, new_port_base: Callable[[], int]
) -> AsyncIterator[HouseSettings]:
    base = new_port_base()
    monkeypatch.setenv("PORTCULLIS_PROVENANCE_METRICS_PORT", "0")
    settings = HouseSettings(home=tmp_path, dsn=database, port_base=base, drain_seconds=1)
    await provision(settings)
    stopping = asyncio.Event()
    task = asyncio.create_task(servers.serve("provenance", build, as_room(settings, "provenance"), stopping))
    await listening(settings.port("provenance"))
    yield settings
    stopping.set()
    await task


async def listening(port: int) -> None:
    """A channel that connects too early waits a second before it tries again."""
    async with asyncio.timeout(30):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except ConnectionRefusedError:
                await asyncio.sleep(0.02)
            else:
                writer.close()
                return


def clear(house: HouseSettings, image: bytes, request: str = REQUEST, life: float = 300.0) -> str:
    signer = ClearanceSigner.load(house.home / "keys" / "clearance", "image_filter", timedelta(seconds=life))
    digests = {"image": hashlib.sha256(image).hexdigest(), "request": request}
    return signer.issue(Claim("demo", "someone", "output", digests, policy="cd" * 32))


async def mark(house: HouseSettings, image: bytes, identity: str = "gateway", **fields: object) -> pb.MarkImageResponse:
    request = pb.MarkImageRequest(
        **{
            "subject": subject(),
            "image": image,
            "clearance": clear(house, image),
            "request_digest": REQUEST,
            "decision_id": DECISION,
            "operation": checks_pb2.OPERATION_CREATE,
            "model": checks_pb2.ModelVersion(name="scenes", version="1"),
            "format": checks_pb2.IMAGE_FORMAT_PNG,
            **fields,
        }
    )
    async with connect(house, identity, "provenance") as channel:
        stub = provenance_pb2_grpc.ProvenanceServiceStub(channel)
        return await stub.MarkImage(request, timeout=30, wait_for_ready=True)


async def inspect(house: HouseSettings, image: bytes, tenant: str = "demo") -> pb.Inspection:
    request = pb.ProvenanceServiceInspectImageRequest(subject=subject(tenant), image=image)
    async with connect(house, "gateway", "provenance") as channel:
        stub = provenance_pb2_grpc.ProvenanceServiceStub(channel)
        response = await stub.InspectImage(request, timeout=30, wait_for_ready=True)
        return response.inspection


async def withdraw(
    house: HouseSettings, image_id: str, withdrawn: bool = True, identity: str = "review"
) -> pb.Provenance:
    request = pb.WithdrawImageRequest(image_id=image_id, withdrawn=withdrawn)
    async with connect(house, identity, "provenance") as channel:
        stub = provenance_pb2_grpc.ProvenanceServiceStub(channel)
        return (await stub.WithdrawImage(request, timeout=30, wait_for_ready=True)).provenance


async def refused(awaitable: object) -> grpc.StatusCode:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await awaitable
    return caught.value.code()


def pixels_of(data: bytes) -> NDArray[np.uint8]:
    with Image.open(BytesIO(data)) as picture:
        return np.asarray(picture.convert("RGB"))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
async def test_a_released_picture_is_known_byte_for_byte(house: HouseSettings, kind: str) -> None:
    marked = await mark(house, scene(), format=checks_pb2.ImageFormat.Value(f"IMAGE_FORMAT_{kind}"))

    inspection = await inspect(house, marked.image)

    assert inspection.origin == pb.ORIGIN_OURS_INTACT
    assert inspection.provenance == marked.provenance
    assert inspection.decision_id == DECISION
    assert {finding.layer for finding in inspection.findings if finding.found} == {
        "manifest",
        "registry",
        "signature",
        "watermark",
    }


async def test_a_released_picture_is_registered_with_its_manifest(house: HouseSettings) -> None:
    marked = await mark(house, scene())

    database = await Database.open(house.dsn)
    async with database.transaction() as conn:
        (row,) = await images.by_decision(conn, "demo", uuid.UUID(DECISION))
    await database.close()
    assert str(row.image_id) == marked.provenance.image_id
    assert row.sha256 == hashlib.sha256(marked.image).digest()
    assert row.manifest in marked.image
    assert row.depth == 1


async def test_a_screenshot_like_copy_is_ours_altered(house: HouseSettings) -> None:
    marked = await mark(house, scene())
    copy = encode(pixels_of(marked.image), "JPEG")

    inspection = await inspect(house, copy)

    assert inspection.origin == pb.ORIGIN_OURS_ALTERED
    assert inspection.provenance.image_id == marked.provenance.image_id


async def test_a_crop_is_ours_derived(house: HouseSettings) -> None:
    marked = await mark(house, scene())

    inspection = await inspect(house, encode(pixels_of(marked.image)[20:200, 30:210]))

    assert inspection.origin == pb.ORIGIN_OURS_DERIVED


async def test_a_mark_copied_onto_another_picture_is_a_conflict(house: HouseSettings) -> None:
    marked = await mark(house, scene())
    payload = np.unpackbits(np.frombuffer(bytes.fromhex(marked.provenance.payload_id), np.uint8))
    other = np.random.default_rng(5).integers(60, 200, (8, 8, 3)).astype(np.uint8).repeat(32, 0).repeat(32, 1)
    forged = load_codec(house.home / "keys").embed(other, payload)

    inspection = await inspect(house, encode(forged))

    assert inspection.origin == pb.ORIGIN_CONFLICT
    assert not inspection.provenance.image_id


async def test_a_strangers_picture_is_not_found(house: HouseSettings) -> None:
    await mark(house, scene())

    inspection = await inspect(house, encode(signature.draw(pixels_of(scene(left=150)))))

    assert inspection.origin == pb.ORIGIN_NOT_FOUND
    assert [finding.layer for finding in inspection.findings if finding.found] == ["signature"]


async def test_another_tenant_learns_nothing_but_that_it_is_ours(house: HouseSettings) -> None:
    marked = await mark(house, scene())

    inspection = await inspect(house, marked.image, tenant="other")

    assert inspection.origin == pb.ORIGIN_OURS_INTACT
    assert not inspection.HasField("provenance")
    assert not inspection.decision_id
    assert not any(finding.payload_id for finding in inspection.findings)


async def test_a_variation_of_a_variation_knows_its_whole_line(house: HouseSettings) -> None:
    line = [(await mark(house, scene())).provenance.image_id]
    for left in (100, 110):
        vary = {"operation": checks_pb2.OPERATION_VARIATION, "parents": line[:1], "parent_image": scene()}
        marked = await mark(house, scene(left), **vary)
        line.insert(0, marked.provenance.image_id)

    inspection = await inspect(house, marked.image)

    assert inspection.lineage.depth == 3
    assert list(inspection.lineage.ancestors) == line[1:]


async def test_an_upload_of_ours_is_known_without_its_manifest(house: HouseSettings) -> None:
    """As the image filter hands it on: re-encoded, all metadata gone."""
    marked = await mark(house, scene())

    inspection = await inspect(house, sanitise(marked.image).png)

    assert inspection.provenance.image_id == marked.provenance.image_id


async def test_a_parent_that_is_not_the_tenants_is_refused(house: HouseSettings) -> None:
    assert await refused(mark(house, scene(), parents=[str(uuid.uuid4())])) == grpc.StatusCode.INVALID_ARGUMENT


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"clearance": ""}, id="none"),
        pytest.param({"clearance": "e30.e30.e30"}, id="nonsense"),
        pytest.param({"request_digest": "00" * 32}, id="another request"),
        pytest.param({"subject": subject("other")}, id="another tenant"),
    ],
)
async def test_nothing_is_marked_without_its_clearance(house: HouseSettings, change: dict[str, object]) -> None:
    assert await refused(mark(house, scene(), **change)) == grpc.StatusCode.PERMISSION_DENIED


async def test_a_clearance_of_other_bytes_is_refused(house: HouseSettings) -> None:
    clearance = clear(house, scene(left=61))

    assert await refused(mark(house, scene(), clearance=clearance)) == grpc.StatusCode.PERMISSION_DENIED


async def test_an_expired_clearance_is_refused(house: HouseSettings) -> None:
    clearance = clear(house, scene(), life=-60.0)

    assert await refused(mark(house, scene(), clearance=clearance)) == grpc.StatusCode.PERMISSION_DENIED


async def test_another_room_may_not_call(house: HouseSettings) -> None:
    assert await refused(mark(house, scene(), identity="generator")) == grpc.StatusCode.PERMISSION_DENIED


@pytest.mark.parametrize("bad", [b"", b"no picture", scene()[:200]], ids=["empty", "nonsense", "truncated"])
async def test_what_is_no_picture_is_refused(house: HouseSettings, bad: bytes) -> None:
    assert await refused(inspect(house, bad)) == grpc.StatusCode.INVALID_ARGUMENT


async def test_the_released_pixels_carry_the_registered_payload(house: HouseSettings) -> None:
    marked = await mark(house, scene())

    reading = load_codec(house.home / "keys").read(decode_rgb(marked.image))

    assert reading is not None
    assert np.packbits(reading.bits).tobytes().hex() == marked.provenance.payload_id


async def test_a_withdrawn_picture_says_so_to_whoever_asks_for_it_or_for_a_copy(house: HouseSettings) -> None:
    marked = await mark(house, scene())

    await withdraw(house, marked.provenance.image_id)

    copy = await inspect(house, encode(pixels_of(marked.image)[20:200, 30:210]))
    abroad = await inspect(house, marked.image, tenant="other")
    assert (copy.withdrawn, copy.provenance.withdrawn) == (True, True)
    assert (abroad.withdrawn, abroad.HasField("provenance"), abroad.decision_id) == (True, False, "")


async def test_withdrawing_twice_tells_the_tenant_once_and_can_be_taken_back(
    house: HouseSettings, db: Database
) -> None:
    marked = await mark(house, scene())

    answers = [await withdraw(house, marked.provenance.image_id, wanted) for wanted in (True, True, False, False)]

    assert [answer.withdrawn for answer in answers] == [True, True, False, False]
    assert not (await inspect(house, marked.image)).withdrawn
    async with db.transaction() as conn:
        told = await conn.execute("SELECT type, tenant FROM events WHERE type LIKE 'image.%%' ORDER BY event_id")
        assert await told.fetchall() == [("image.withdrawn", "demo"), ("image.restored", "demo")]


@pytest.mark.parametrize(
    ("image_id", "code"),
    [(str(uuid.uuid4()), grpc.StatusCode.NOT_FOUND), ("<b>", grpc.StatusCode.INVALID_ARGUMENT)],
    ids=["unknown", "nonsense"],
)
async def test_what_is_not_registered_cannot_be_withdrawn(
    house: HouseSettings, image_id: str, code: grpc.StatusCode
) -> None:
    assert await refused(withdraw(house, image_id)) == code


async def test_only_review_may_withdraw(house: HouseSettings) -> None:
    marked = await mark(house, scene())

    code = await refused(withdraw(house, marked.provenance.image_id, identity="gateway"))

    assert code == grpc.StatusCode.PERMISSION_DENIED


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
async def test_a_file_that_lost_its_manifest_alone_is_intact(house: HouseSettings, kind: str) -> None:
    marked = await mark(house, scene(), format=checks_pb2.ImageFormat.Value(f"IMAGE_FORMAT_{kind}"))
    codec = load_codec(house.home / "keys")
    payload = np.unpackbits(np.frombuffer(bytes.fromhex(marked.provenance.payload_id), np.uint8))
    stripped = encode(codec.embed(signature.draw(decode_rgb(scene())), payload), kind)

    inspection = await inspect(house, stripped)

    assert inspection.origin == pb.ORIGIN_OURS_INTACT
    assert {"manifest", "registry"} <= {finding.layer for finding in inspection.findings if finding.found}


async def test_a_changed_place_is_shown_to_its_tenant_alone(house: HouseSettings) -> None:
    marked = await mark(house, scene())
    pixels = pixels_of(marked.image).copy()
    pixels[0:64, 128:192] = (10, 10, 10)

    own, abroad = [await inspect(house, encode(pixels), tenant=tenant) for tenant in ("demo", "other")]

    assert own.origin == abroad.origin == pb.ORIGIN_OURS_ALTERED
    assert [(box.x, box.y, box.w, box.h) for box in own.changes] == [(128, 0, 64, 64)]
    assert not abroad.changes
    assert own.false_positive_probability < 1e-6


async def test_the_policy_in_force_chooses_the_visible_signature(house: HouseSettings, db: Database) -> None:
    text = DEFAULT_POLICY.read_text(encoding="utf-8") + "\nsignature: {palette: ['#000000', '#ffffff'], squares: 16}\n"
    policy = load_policy(text, "test")
    async with db.transaction() as conn:
        await policies.put(conn, policy, "test")
        await policies.activate(conn, policy.id, "test", datetime.now(UTC))

    marked = await mark(house, scene())

    corner = pixels_of(marked.image)[-16:, -32:].astype(int)
    assert corner[:, :16].mean() < 20
    assert corner[:, 16:].mean() > 235
