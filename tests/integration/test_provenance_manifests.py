"""Provenance as a real server with a real time-stamping authority: the life of a manifest."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pytest

from portcullis.v1 import checks_pb2
from portcullis.v1 import provenance_pb2 as pb
from services.commands.provision import provision
from services.core.config import HouseSettings
from services.core.rpc import server as servers
from services.core.store import images, timestamps
from services.core.store.database import Database
from services.provenance import keyring, restamp
from services.provenance import timestamp as stamping
from services.provenance.__main__ import build
from services.provenance.authority import make_authority, rotate
from services.provenance.manifest_reader import ManifestReader
from tests import tsa
from tests.integration.test_provenance import inspect, listening, mark, scene
from tests.rooms import as_room
from tests.tsa import TimeStamps


@pytest.fixture
def clock(tmp_path: Path) -> Iterator[TimeStamps]:
    with tsa.running(tmp_path / "tsa") as clock:
        yield clock


@pytest.fixture
async def house(
    tmp_path: Path,
    database: str,
    clock: TimeStamps,
    monkeypatch: pytest.MonkeyPatch,
    new_port_base: Callable[[], int],
) -> AsyncIterator[HouseSettings]:
    monkeypatch.setenv("PORTCULLIS_PROVENANCE_METRICS_PORT", "0")
    monkeypatch.setenv("PORTCULLIS_PROVENANCE_TSA_URL", clock.url)
    monkeypatch.setenv("PORTCULLIS_PROVENANCE_DETECTOR_URL", "https://example.com/ours")
    monkeypatch.setattr(keyring, "EVERY_SECONDS", 0.05)
    monkeypatch.setattr(restamp, "EVERY_SECONDS", 0.05)
    monkeypatch.setattr(stamping, "_FIRST_REST", 0.1)
    settings = HouseSettings(home=tmp_path / "home", dsn=database, port_base=new_port_base(), drain_seconds=1)
    await provision(settings)
    (settings.home / "keys" / "c2pa" / "tsa.pem").write_bytes(clock.root)
    stopping = asyncio.Event()
    task = asyncio.create_task(servers.serve("provenance", build, as_room(settings, "provenance"), stopping))
    await listening(settings.port("provenance"))
    yield settings
    stopping.set()
    await task


async def sidecar(db: Database, image_id: str) -> bytes:
    async with db.transaction() as conn:
        image = await images.registered(conn, UUID(image_id))
    assert image is not None
    return image.manifest


async def owed(db: Database) -> int:
    async with db.transaction() as conn:
        return await timestamps.owed(conn)


async def test_a_released_picture_carries_its_timestamp(house: HouseSettings, db: Database) -> None:
    marked = await mark(house, scene())

    assert b"sigTst2" in marked.image
    assert await sidecar(db, marked.provenance.image_id) in marked.image
    assert await owed(db) == 0


async def test_an_outage_delays_the_timestamp_and_nothing_else(
    house: HouseSettings, db: Database, clock: TimeStamps
) -> None:
    clock.up = False
    marked = await mark(house, scene(), format=checks_pb2.IMAGE_FORMAT_JPEG)
    during = await owed(db)

    clock.up = True
    async with asyncio.timeout(20):
        while await owed(db):  # noqa: ASYNC110
            await asyncio.sleep(0.02)

    later = await sidecar(db, marked.provenance.image_id)
    reader = ManifestReader.load(house.home / "keys" / "c2pa")
    states = [reader.read(marked.image, "JPEG").state, reader.read(marked.image, "JPEG", later).state]
    reader.close()
    assert during == 1
    assert b"sigTst2" not in marked.image
    assert b"sigTst2" in later
    assert states == ["trusted", "trusted"]


async def test_a_running_house_takes_a_new_chain_and_knows_the_old_one(house: HouseSettings) -> None:
    before = await mark(house, scene())
    now = datetime.now(UTC)

    rotate(house.home / "keys" / "c2pa", make_authority("Another name", "es256", now), "es256", now)
    async with asyncio.timeout(20):
        while b"Another name" not in (after := await mark(house, scene())).image:  # noqa: ASYNC110
            await asyncio.sleep(0.05)

    found = [await inspect(house, marked.image) for marked in (before, after)]
    assert {finding.message for one in found for finding in one.findings if finding.layer == "manifest"} == {
        "Our manifest, and the content is what was signed. It names a registered picture that looks the same."
    }
    assert {one.origin for one in found} == {pb.ORIGIN_OURS_INTACT}
