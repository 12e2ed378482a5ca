"""Timestamps that could not be had when a picture was released: asked for again, for the registry's sidecar."""

from __future__ import annotations

import asyncio

import structlog
from prometheus_client import Gauge

from services.core.errors import FailedPrecondition, Unavailable
from services.core.store import timestamps
from services.core.store.database import Database
from services.provenance.timestamp import TimestampAuthority, stamp

EVERY_SECONDS = 10.0

OWED = Gauge("portcullis_owed_timestamps", "Released pictures whose manifest has no timestamp yet.")

log = structlog.get_logger()


async def keep_stamping(database: Database, authority: TimestampAuthority) -> None:
    """Stamps what waits, oldest first, for ever; one provenance or many."""
    while True:
        try:
            while not authority.rests and await stamp_next(database, authority):
                """Until nothing waits, or the authority fails."""
            async with database.transaction() as conn:
                OWED.set(await timestamps.owed(conn))
        except Unavailable as error:
            log.warning("owed timestamps wait", why=error.reason)
        await asyncio.sleep(EVERY_SECONDS)


async def stamp_next(database: Database, authority: TimestampAuthority) -> bool:
    """Stamps the sidecar that waits longest; whether there was one that waits no more.

    One that no timestamp can help leaves the queue too, and the log says so. Unavailable without Postgres.
    """
    async with database.transaction() as conn:
        waiting = await timestamps.oldest(conn)
        if waiting is None:
            return False
        image_id, sidecar = waiting
        try:
            stamped = await asyncio.to_thread(stamp, sidecar, authority.token)
        except Unavailable:
            return False
        except FailedPrecondition as error:
            log.warning("a manifest stays without a timestamp", reason=error.reason, image=str(image_id))
            stamped = sidecar
        await timestamps.settle(conn, image_id, stamped)
    return True
