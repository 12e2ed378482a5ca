"""The registry's table on a real Postgres."""

from __future__ import annotations

import secrets
from dataclasses import replace
from uuid import UUID, uuid4

import psycopg
import pytest

from services.core.signals import ModelVersion
from services.core.store import images, tenants
from services.core.store.database import Database
from services.core.store.images import RegisteredImage

DECISION = UUID(int=42)


def new_image(**fields: object) -> RegisteredImage:
    plain = RegisteredImage(
        image_id=uuid4(),
        tenant="demo",
        decision_id=DECISION,
        payload_id=secrets.token_bytes(8),
        sha256=secrets.token_bytes(32),
        pdq=secrets.token_bytes(32),
        pdq_quality=90,
        phash=secrets.token_bytes(8),
        sketch=bytes(3072),
        width=256,
        height=128,
        format="PNG",
        operation="edit",
        parents=(UUID(int=1), UUID(int=2)),
        depth=2,
        model=ModelVersion("scenes", "1", "ab"),
        policy="cd" * 32,
        request_digest="ef" * 32,
        manifest=b"manifest",
    )
    return replace(plain, **fields)


async def store(db: Database, *rows: RegisteredImage) -> None:
    async with db.transaction() as conn:
        for tenant in {row.tenant for row in rows}:
            await tenants.create_tenant(conn, tenant)
        for row in rows:
            await images.insert(conn, row)


def flip(pdq: bytes, bits: int) -> bytes:
    return (int.from_bytes(pdq, "big") ^ ((1 << bits) - 1)).to_bytes(32, "big")


async def test_an_image_comes_back_as_it_went_in(db: Database) -> None:
    image = new_image()
    await store(db, image)

    async with db.transaction() as conn:
        found = await images.get(conn, "demo", image.image_id)

    assert found is not None
    assert replace(found, created_at=None) == image
    assert found.created_at is not None


async def test_an_image_is_found_by_each_of_its_marks(db: Database) -> None:
    image = new_image()
    await store(db, image, new_image())

    async with db.transaction() as conn:
        found = [
            await images.by_sha256(conn, image.sha256),
            await images.by_payload(conn, image.payload_id),
            await images.nearest(conn, [image.pdq], 0),
        ]

    assert [row and row.image_id for row in found] == [image.image_id] * 3


async def test_another_tenants_image_is_none(db: Database) -> None:
    image = new_image()
    await store(db, image, new_image(tenant="other"))

    async with db.transaction() as conn:
        assert await images.get(conn, "other", image.image_id) is None
        assert [row.tenant for row in await images.by_decision(conn, "other", DECISION)] == ["other"]


@pytest.mark.parametrize(("bits", "found"), [(0, True), (31, True), (32, False)])
async def test_the_radius_is_exact(db: Database, bits: int, found: bool) -> None:
    image = new_image()
    await store(db, image)

    async with db.transaction() as conn:
        near = await images.nearest(conn, [flip(image.pdq, bits)], 31)

    assert (near is not None) == found


async def test_the_nearest_of_all_views_wins(db: Database) -> None:
    near, nearer = new_image(), new_image()
    await store(db, near, nearer)

    async with db.transaction() as conn:
        found = await images.nearest(conn, [flip(near.pdq, 20), flip(nearer.pdq, 3)], 31)

    assert found is not None
    assert found.image_id == nearer.image_id


async def test_a_payload_id_is_given_once(db: Database) -> None:
    image = new_image()
    await store(db, image)

    with pytest.raises(psycopg.errors.UniqueViolation):
        await store(db, new_image(payload_id=image.payload_id))


async def test_a_look_alike_is_found_in_every_year(db: Database) -> None:
    old, new = new_image(), new_image()
    await store(db, old, new)
    async with db.transaction() as conn:
        await conn.execute(
            "UPDATE image_hashes SET created_at = now() - interval '3 years' WHERE pdq = %s::bit(256)",
            [f"{int.from_bytes(old.pdq, 'big'):0256b}"],
        )

    async with db.transaction() as conn:
        found = [await images.nearest(conn, [flip(image.pdq, 31)], 31) for image in (old, new)]

    assert [row and row.image_id for row in found] == [old.image_id, new.image_id]


async def test_every_spread_of_31_bits_over_the_hash_is_found(db: Database) -> None:
    """Two bits in each of fifteen bands, one in the last: the least that any band can be spared."""
    image = new_image()
    await store(db, image)
    spread = sum(0b11 << (16 * band) for band in range(15)) | 1 << 240
    copy = (int.from_bytes(image.pdq, "big") ^ spread).to_bytes(32, "big")

    async with db.transaction() as conn:
        assert await images.nearest(conn, [copy], 31) is not None


async def test_of_pictures_that_hash_the_same_a_withdrawn_one_is_told(db: Database) -> None:
    standing, withdrawn = new_image(), new_image()
    withdrawn = replace(withdrawn, pdq=standing.pdq)
    await store(db, standing, withdrawn)
    async with db.transaction() as conn:
        await images.mark_withdrawn(conn, withdrawn.image_id, True)

        found = await images.nearest(conn, [standing.pdq], 31)

    assert found is not None
    assert found.image_id == withdrawn.image_id


async def test_a_file_stripped_of_its_manifest_is_found(db: Database) -> None:
    image = new_image(bare_sha256=secrets.token_bytes(32))
    await store(db, image)

    async with db.transaction() as conn:
        found = await images.by_sha256(conn, image.bare_sha256 or b"")

    assert found is not None
    assert found.image_id == image.image_id
