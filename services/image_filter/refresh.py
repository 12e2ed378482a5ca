"""Keeps the banks of a running filter as Postgres has them."""

from __future__ import annotations

import asyncio
import time

import structlog

from services.core.errors import Unavailable
from services.core.store import banks as store
from services.core.store.database import Database
from services.image_filter.banks import Banks
from services.image_filter.pipeline import ImagePipeline

REFRESH_SECONDS = 3.0

log = structlog.get_logger()


class BankRefresh:
    """Loads the banks into a pipeline, and again whenever they change; while Postgres is away the last ones hold."""

    def __init__(self, database: Database, pipeline: ImagePipeline, stale_seconds: float) -> None:
        self._database = database
        self._pipeline = pipeline
        self._stale_seconds = stale_seconds
        self._seen = float("-inf")

    async def load(self) -> None:
        """Look once; Unavailable while Postgres does not answer."""
        async with self._database.transaction() as conn:
            # The version first: a change in between is then loaded twice rather than missed.
            version = await store.version(conn)
            entries = None if version == self._pipeline.banks.version else await store.load_entries(conn)
        if entries is not None:
            self._pipeline.banks = await asyncio.to_thread(Banks, entries, version)
            log.info("banks loaded", version=version, entries=len(entries))
        self._seen = time.monotonic()

    async def keep_fresh(self) -> None:
        """Look every three seconds; runs until cancelled."""
        while True:
            await asyncio.sleep(REFRESH_SECONDS)
            try:
                await self.load()
            except Unavailable as error:
                log.warning("banks not confirmed", why=error.reason)

    async def ready(self) -> None:
        """Raises Unavailable if Postgres has not confirmed the banks for longer than they may be stale."""
        age = time.monotonic() - self._seen
        if age > self._stale_seconds:
            raise Unavailable(f"the banks were last confirmed {age:.0f} s ago", reason="BANKS_STALE")
