"""Timestamps that follow: a real Postgres, a real RFC 3161 authority that is down at first."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from services.core.signals import ModelVersion
from services.core.store import images, tenants, timestamps
from services.core.store.database import Database
from services.core.store.images import RegisteredImage
from services.provenance import restamp, timestamp
from services.provenance.authority import make_chain
from services.provenance.manifest import ManifestSigner
from services.provenance.manifest_reader import ManifestReader
from services.provenance.restamp import stamp_next
from services.provenance.signing_key import sign_with_key
from services.provenance.timestamp import TimestampAuthority
from tests import tsa
from tests.tsa import TimeStamps
from tests.unit.provenance.test_manifest import RELEASE, picture

CA, CHAIN, KEY = make_chain("Portcullis development", datetime.now(UTC))


@pytest.fixture
def clock(tmp_path: Path) -> Iterator[TimeStamps]:
    with tsa.running(tmp_path) as clock:
        yield clock


@pytest.fixture
def authority(clock: TimeStamps, monkeypatch: pytest.MonkeyPatch) -> Iterator[TimestampAuthority]:
    monkeypatch.setattr(timestamp, "_FIRST_REST", 0.0)
    authority = TimestampAuthority(clock.url, clock.root)
    yield authority
    authority.close()


async def released(db: Database, manifest: bytes) -> UUID:
    """A picture in the registry whose manifest waits for its timestamp."""
    image_id = uuid4()
    async with db.transaction() as conn:
        await tenants.create_tenant(conn, "acme")
        await images.insert(
            conn,
            RegisteredImage(
                image_id=image_id,
                tenant="acme",
                decision_id=uuid4(),
                payload_id=image_id.bytes[:8],
                sha256=image_id.bytes * 2,
                pdq=bytes(32),
                pdq_quality=100,
                phash=bytes(8),
                sketch=bytes(3072),
                width=64,
                height=64,
                format="PNG",
                operation="create",
                parents=(),
                depth=1,
                model=ModelVersion("scenes", "1", "ab" * 32),
                policy="cd" * 32,
                request_digest="ab" * 32,
                manifest=manifest,
            ),
        )
        await timestamps.owe(conn, image_id)
    return image_id


async def owed(db: Database) -> int:
    async with db.transaction() as conn:
        return await timestamps.owed(conn)


async def test_a_timestamp_follows_when_the_authority_is_back(
    db: Database, clock: TimeStamps, authority: TimestampAuthority
) -> None:
    signed = ManifestSigner(CHAIN, sign_with_key(KEY)).sign(picture(), "PNG", RELEASE, None)
    image_id = await released(db, signed.sidecar)

    clock.up = False
    during = await stamp_next(db, authority), await owed(db)
    clock.up = True
    after = await stamp_next(db, authority), await owed(db)

    assert (during, after) == ((False, 1), (True, 0))
    async with db.transaction() as conn:
        image = await images.registered(conn, image_id)
    assert image is not None
    assert b"sigTst2" in image.manifest
    reader = ManifestReader(CA, clock.root)
    assert reader.read(signed.image, "PNG", image.manifest).state == "trusted"
    reader.close()


async def test_one_that_no_timestamp_can_help_does_not_hold_up_the_others(
    db: Database, authority: TimestampAuthority
) -> None:
    signer = ManifestSigner(CHAIN, sign_with_key(KEY), authority)
    await released(db, b"no manifest")
    await released(db, signer.sign(picture(), "PNG", RELEASE, None).sidecar)
    await released(db, ManifestSigner(CHAIN, sign_with_key(KEY)).sign(picture(), "PNG", RELEASE, None).sidecar)

    handled = [await stamp_next(db, authority) for _ in range(4)]

    assert (handled, await owed(db)) == ([True, True, True, False], 0)


async def test_the_oldest_is_stamped_first(db: Database, clock: TimeStamps, authority: TimestampAuthority) -> None:
    signer = ManifestSigner(CHAIN, sign_with_key(KEY))
    ids = [await released(db, signer.sign(picture(), "PNG", RELEASE, None).sidecar) for _ in range(2)]
    async with db.transaction() as conn:
        await conn.execute(
            "UPDATE owed_timestamps SET since = %s WHERE image_id = %s",
            [datetime.now(UTC) - timedelta(days=1), ids[1]],
        )

        waiting = await timestamps.oldest(conn)

    assert waiting is not None
    assert waiting[0] == ids[1]


async def test_the_loop_outlives_an_authority_that_is_down(
    db: Database, clock: TimeStamps, authority: TimestampAuthority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(restamp, "EVERY_SECONDS", 0.02)
    await released(db, ManifestSigner(CHAIN, sign_with_key(KEY)).sign(picture(), "PNG", RELEASE, None).sidecar)
    clock.up = False
    task = asyncio.create_task(restamp.keep_stamping(db, authority))
    try:
        async with asyncio.timeout(20):
            while clock.asked < 2:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
            clock.up = True
            while await owed(db):  # noqa: ASYNC110
                await asyncio.sleep(0.02)
    finally:
        task.cancel()

    assert clock.asked >= 3
