"""The registry's table: every released image, with what it can be found by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg import sql
from psycopg.rows import class_row
from psycopg.types.json import Jsonb
from pydantic import TypeAdapter

from services.core.signals import ModelVersion
from services.core.store.database import Connection

_MODEL: TypeAdapter[ModelVersion] = TypeAdapter(ModelVersion)
_PDQ_BITS, _PHASH_BITS = 256, 64


@dataclass(frozen=True, slots=True)
class RegisteredImage:
    """One row. `payload_id` 8 bytes, `sha256` of the released file 32, `pdq` 32, `phash` 8, `sketch` 32 × 32 sRGB.

    `bare_sha256` is that of the file before its manifest was added; None for one from before this was recorded.
    `parents` are image ids, nearest first; `depth` 1 is an image made from text. `created_at` is set by
    Postgres: None until the row is read back. `withdrawn_at` is None while the picture stands.
    """

    image_id: UUID
    tenant: str
    decision_id: UUID
    payload_id: bytes
    sha256: bytes
    pdq: bytes
    pdq_quality: int
    phash: bytes
    sketch: bytes
    width: int
    height: int
    format: str
    operation: str
    parents: tuple[UUID, ...]
    depth: int
    model: ModelVersion
    policy: str
    request_digest: str
    manifest: bytes
    bare_sha256: bytes | None = None
    created_at: datetime | None = None
    withdrawn_at: datetime | None = None

    def __post_init__(self) -> None:
        """Turns what Postgres returns into our own types."""
        object.__setattr__(self, "parents", tuple(self.parents))
        object.__setattr__(self, "model", _MODEL.validate_python(self.model))
        for name in ("pdq", "phash"):
            value = getattr(self, name)
            if isinstance(value, str):
                object.__setattr__(self, name, int(value, 2).to_bytes(len(value) // 8, "big"))


_COLUMNS = sql.SQL(", ").join(sql.Identifier(field.name) for field in fields(RegisteredImage))
_BANDS = 16

# One search for every hash asked for, and in it one for every band (migration 0024 says why that misses nothing).
_NEAREST = sql.SQL(
    """
    WITH asked AS MATERIALIZED (
        SELECT hash, {bands} FROM unnest(%(hashes)s::bit(256)[]) AS hash
    ), nearest AS MATERIALIZED (
        SELECT pdq FROM asked CROSS JOIN LATERAL ({searches}) AS found ORDER BY distance LIMIT 1
    )
    SELECT {columns} FROM images JOIN nearest USING (pdq) ORDER BY withdrawn_at IS NULL, created_at LIMIT 1
    """
).format(
    bands=sql.SQL(", ").join(sql.SQL("pdq_band(hash, {0}) AS band_{0}").format(band) for band in range(_BANDS)),
    searches=sql.SQL(" UNION ALL ").join(
        sql.SQL(
            "SELECT pdq, bit_count(pdq # hash) AS distance FROM image_hashes"
            " WHERE pdq_band(pdq, {0}) = ANY (band_and_neighbours(band_{0})) AND bit_count(pdq # hash) <= %(radius)s"
        ).format(band)
        for band in range(_BANDS)
    ),
    columns=_COLUMNS,
)


async def insert(conn: Connection, image: RegisteredImage) -> None:
    """Writes one image; psycopg's UniqueViolation where its id, payload id or sha256 is there already."""
    await conn.execute(
        "WITH image AS ("
        " INSERT INTO images (image_id, tenant, decision_id, payload_id, sha256, pdq, pdq_quality, phash, sketch,"
        " width, height, format, operation, parents, depth, model, policy, request_digest, manifest, bare_sha256)"
        " VALUES (%s, %s, %s, %s, %s, %s::bit(256), %s, %s::bit(64), %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"
        " RETURNING pdq"
        ") INSERT INTO image_hashes (pdq) SELECT pdq FROM image"
        " WHERE NOT EXISTS (SELECT FROM images AS earlier WHERE earlier.pdq = image.pdq)",
        [
            image.image_id,
            image.tenant,
            image.decision_id,
            image.payload_id,
            image.sha256,
            _bits(image.pdq, _PDQ_BITS),
            image.pdq_quality,
            _bits(image.phash, _PHASH_BITS),
            image.sketch,
            image.width,
            image.height,
            image.format,
            image.operation,
            list(image.parents),
            image.depth,
            Jsonb(_MODEL.dump_python(image.model)),
            image.policy,
            image.request_digest,
            image.manifest,
            image.bare_sha256,
        ],
    )


async def get(conn: Connection, tenant: str, image_id: UUID) -> RegisteredImage | None:
    """An image of this tenant, None where there is none; another tenant's is none."""
    where = sql.SQL("tenant = %(tenant)s AND image_id = %(image_id)s")
    return await _one(conn, where, {"tenant": tenant, "image_id": image_id})


async def by_sha256(conn: Connection, sha256: bytes) -> RegisteredImage | None:
    """The image whose released file has this sha256, with its manifest or from before it was added, of any tenant."""
    where = sql.SQL("sha256 = %(sha256)s OR bare_sha256 = %(sha256)s ORDER BY created_at LIMIT 1")
    return await _one(conn, where, {"sha256": sha256})


async def by_payload(conn: Connection, payload_id: bytes) -> RegisteredImage | None:
    """The image whose marks carry this id, of any tenant."""
    return await _one(conn, sql.SQL("payload_id = %(payload_id)s"), {"payload_id": payload_id})


async def by_decision(conn: Connection, tenant: str, decision_id: UUID) -> list[RegisteredImage]:
    """The images that a decision of this tenant released, oldest first."""
    where = sql.SQL("tenant = %(tenant)s AND decision_id = %(decision_id)s ORDER BY created_at, image_id")
    return await _all(conn, where, {"tenant": tenant, "decision_id": decision_id})


async def registered(conn: Connection, image_id: UUID) -> RegisteredImage | None:
    """An image of any tenant; locked against a change until the transaction ends. None where there is none."""
    return await _one(conn, sql.SQL("image_id = %(image_id)s FOR UPDATE"), {"image_id": image_id})


async def among(conn: Connection, image_ids: Sequence[UUID]) -> list[RegisteredImage]:
    """Those of these images that are registered, of any tenant, in no order."""
    return await _all(conn, sql.SQL("image_id = ANY (%(image_ids)s)"), {"image_ids": list(image_ids)})


async def children(conn: Connection, tenant: str, image_id: UUID, limit: int) -> list[RegisteredImage]:
    """Up to `limit` images of this tenant that were made from this one, over any number of steps, oldest first."""
    where = sql.SQL(
        "tenant = %(tenant)s AND parents @> ARRAY[%(image_id)s]::uuid[] ORDER BY created_at, image_id LIMIT %(limit)s"
    )
    return await _all(conn, where, {"tenant": tenant, "image_id": image_id, "limit": limit})


async def mark_withdrawn(conn: Connection, image_id: UUID, withdrawn: bool) -> None:
    """Withdraws an image, or takes that back; the moment of a first withdrawal stays."""
    await conn.execute(
        "UPDATE images SET withdrawn_at = CASE WHEN %s THEN coalesce(withdrawn_at, now()) END WHERE image_id = %s",
        [withdrawn, image_id],
    )


async def any_withdrawn(conn: Connection, tenant: str, decision_id: UUID) -> bool:
    """Whether a picture that a decision of this tenant released was withdrawn."""
    cursor = await conn.execute(
        "SELECT FROM images WHERE tenant = %s AND decision_id = %s AND withdrawn_at IS NOT NULL LIMIT 1",
        [tenant, decision_id],
    )
    return await cursor.fetchone() is not None


async def nearest(conn: Connection, hashes: Sequence[bytes], radius: int) -> RegisteredImage | None:
    """The image of any tenant whose PDQ hash is nearest to one of `hashes` (32 bytes each), within `radius` ≤ 31 bits.

    Exact. Of those with the same hash a withdrawn one, else the oldest.
    """
    assert radius < 2 * _BANDS, "beyond, a search by bands would miss some"
    values = {"hashes": [_bits(value, _PDQ_BITS) for value in dict.fromkeys(hashes)], "radius": radius}
    await conn.execute("SET LOCAL plan_cache_mode = force_generic_plan")  # planning anew takes as long as searching
    found = await _fetch(conn, _NEAREST, values, prepare=True)
    return found[0] if found else None


def _bits(value: bytes, length: int) -> str:
    return format(int.from_bytes(value, "big"), f"0{length}b")


async def _one(conn: Connection, where: sql.Composable, values: Mapping[str, Any]) -> RegisteredImage | None:
    found = await _all(conn, where, values)
    return found[0] if found else None


async def _all(conn: Connection, where: sql.Composable, values: Mapping[str, Any]) -> list[RegisteredImage]:
    return await _fetch(conn, sql.SQL("SELECT {} FROM images WHERE {}").format(_COLUMNS, where), values)


async def _fetch(
    conn: Connection, query: sql.SQL | sql.Composed, values: Mapping[str, Any], prepare: bool | None = None
) -> list[RegisteredImage]:
    async with conn.cursor(row_factory=class_row(RegisteredImage)) as cursor:
        await cursor.execute(query, values, prepare=prepare)
        return await cursor.fetchall()
