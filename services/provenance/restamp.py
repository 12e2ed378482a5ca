"""Timestamps that could not be had when a picture was released: asked for again, for the registry's sidecar."""

from __future__ import annotations

import asyncio

import structlog

from services.core.errors import FailedPrecondition, Unavailable
from services.core.store import timestamps
from services.core.store.database import Database
from services.provenance.timestamp import TimestampAuthority, stamp

EVERY_SECONDS = 10.0
_AT_ONCE = 20

log = structlog.get_logger()


async def keep_stamping(database: Database, authority: TimestampAuthority) -> None:
    """Stamps what waits, oldest first, for ever; one provenance or many."""
    while True:
        while not authority.rests and await stamp_waiting(database, authority):
            """Until nothing waits, or the authority fails."""
        await asyncio.sleep(EVERY_SECONDS)


async def stamp_waiting(database: Database, authority: TimestampAuthority) -> int:
    """Stamps up to twenty sidecars that wait; how many. One that no timestamp can help waits no more."""
    stamped = useless = 0
    async with database.transaction() as conn:
        for image_id, sidecar in await timestamps.claim(conn, _AT_ONCE):
            try:
                sidecar = await asyncio.to_thread(stamp, sidecar, authority.token)
            except Unavailable:
                break
            except FailedPrecondition as error:
                log.warning("a manifest stays without a timestamp", reason=error.reason, image=str(image_id))
                await timestamps.remove(conn, image_id)
                useless += 1
                continue
            await timestamps.settle(conn, image_id, sidecar)
            stamped += 1
    if stamped:
        log.info("timestamps followed", manifests=stamped)
    return stamped + useless
