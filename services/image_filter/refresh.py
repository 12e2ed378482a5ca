"""Keeps the banks of a running filter as Postgres has them, and Postgres' counts as the filter saw them.

Postgres says when a bank changes (LISTEN/NOTIFY), and is asked every three seconds besides. The new index is built
beside the old one and put in its place at once; while Postgres is away the last one holds, until it is too old.
"""

from __future__ import annotations

import asyncio
import time

import structlog

from services.core import telemetry
from services.core.errors import Unavailable
from services.core.store import bank_index
from services.core.store.banks import CHANNEL
from services.core.store.database import Database, listen
from services.image_filter.banks import Banks, Seen
from services.image_filter.pipeline import ImagePipeline

REFRESH_SECONDS = 3.0

log = structlog.get_logger()


class BankRefresh:
    """Loads the banks into a pipeline, and again whenever they change; writes down how often entries matched."""

    def __init__(self, database: Database, pipeline: ImagePipeline, stale_seconds: float, dsn: str = "") -> None:
        self._database = database
        self._pipeline = pipeline
        self._stale_seconds = stale_seconds
        self._dsn = dsn
        self._seen = float("-inf")
        self._matched = Seen()
        self._loading = asyncio.Lock()
        telemetry.IMAGE_BANKS_AGE.set_function(self._age)

    async def load(self) -> None:
        """Look once; Unavailable while Postgres does not answer."""
        async with self._loading:
            begin = time.monotonic()
            async with self._database.transaction() as conn:
                version = await bank_index.version(conn)
            if version != self._pipeline.banks.version:
                known = await bank_index.load(self._database)
                # A change since the version was read is another version: loaded twice rather than missed.
                banks = await asyncio.to_thread(Banks, known, version, self._matched)
                self._pipeline.banks = banks
                banks.show()
                log.info("banks loaded", version=version, entries=len(banks))
            self._seen = begin

    async def keep_fresh(self) -> None:
        """Look, and write the counts down, every three seconds; runs until cancelled."""
        while True:
            await asyncio.sleep(REFRESH_SECONDS)
            try:
                await self.load()
                await self.write_seen()
            except Unavailable as error:
                log.warning("banks not confirmed", why=error.reason)

    async def follow(self) -> None:
        """Look whenever Postgres says that a bank changed; runs until cancelled."""
        while True:
            try:
                async for _ in listen(self._dsn, CHANNEL):
                    await self.load()
            except Unavailable:
                await asyncio.sleep(REFRESH_SECONDS)  # `keep_fresh` tells the log

    async def write_seen(self) -> None:
        """Adds what was counted since the last time; Unavailable while Postgres does not answer, and nothing is lost.

        A crash loses the counts of three seconds; a connection that breaks just as it commits may count them twice.
        """
        counts = self._matched.take()
        if not counts:
            return
        try:
            async with self._database.transaction() as conn:
                await bank_index.count_seen(conn, counts)
        except BaseException:
            self._matched.put_back(counts)
            raise

    async def ready(self) -> None:
        """Raises Unavailable if Postgres has not confirmed the banks for longer than they may be stale."""
        age = self._age()
        if age > self._stale_seconds:
            raise Unavailable(f"the banks were last confirmed {age:.0f} s ago", reason="BANKS_STALE")

    def _age(self) -> float:
        return time.monotonic() - self._seen
