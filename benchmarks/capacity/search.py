"""What a search for look-alikes costs Postgres as the registry grows: CPU seconds, whatever else the machine does."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

import numpy as np
import psutil
from psycopg.conninfo import conninfo_to_dict

from benchmarks import registry
from benchmarks.house import postgres
from services.core.store import images
from services.core.store.database import Database
from services.provenance.fingerprint import PDQ_RADIUS

WARM, SEARCHES = 300, 200  # the first ones bring the indexes into memory


def cpu_seconds(rows: int) -> float:
    """Of one search among `rows` random hashes for a picture that is not there, in all eight orientations."""
    with tempfile.TemporaryDirectory() as folder, postgres.running(Path(folder)) as dsn:
        registry.fill(dsn, registry.at_random(rows))
        return asyncio.run(_search(dsn))


async def _search(dsn: str) -> float:
    rng = np.random.default_rng(5)
    server = psutil.Process(int((Path(conninfo_to_dict(dsn)["host"]) / "postmaster.pid").read_text().split()[0]))
    database = await Database.open(dsn, max_size=1)
    try:
        before = 0.0
        for number in range(WARM + SEARCHES):
            if number == WARM:
                before = _used(server)
            views = [view.tobytes() for view in registry.at_random_views(rng)]
            async with database.transaction() as conn:
                await images.nearest(conn, views, PDQ_RADIUS)
        return (_used(server) - before) / SEARCHES
    finally:
        await database.close()


def _used(server: psutil.Process) -> float:
    times = [process.cpu_times() for process in [server, *server.children()]]
    return float(sum(one.user + one.system for one in times))
