"""Released pictures whose manifest has no timestamp yet: written with the picture, removed with the timestamp."""

from __future__ import annotations

from uuid import UUID

from services.core.store.database import Connection


async def owe(conn: Connection, image_id: UUID) -> None:
    """Records that a picture's manifest waits for its timestamp."""
    await conn.execute("INSERT INTO owed_timestamps (image_id) VALUES (%s)", [image_id])


async def oldest(conn: Connection) -> tuple[UUID, bytes] | None:
    """The picture that waits longest and its manifest, locked until the transaction ends; None where none waits.

    One that another process works on is passed over.
    """
    cursor = await conn.execute(
        "SELECT image_id, manifest FROM owed_timestamps JOIN images USING (image_id)"
        " ORDER BY since, image_id LIMIT 1 FOR UPDATE OF owed_timestamps SKIP LOCKED"
    )
    return await cursor.fetchone()


async def settle(conn: Connection, image_id: UUID, manifest: bytes) -> None:
    """Keeps the manifest with its timestamp; the picture waits no more."""
    await conn.execute("UPDATE images SET manifest = %s WHERE image_id = %s", [manifest, image_id])
    await conn.execute("DELETE FROM owed_timestamps WHERE image_id = %s", [image_id])


async def owed(conn: Connection) -> int:
    """How many pictures wait."""
    cursor = await conn.execute("SELECT count(*) FROM owed_timestamps")
    row = await cursor.fetchone()
    assert row is not None, "count always answers"
    return int(row[0])
