"""What must be seen to from time to time: stalled items, ended leases, expired evidence, figures."""

from __future__ import annotations

import asyncio
from uuid import UUID

import structlog

from services.core import telemetry
from services.core.evidence import EvidenceStore
from services.core.store import anomalies, claims, evidence_rows, outbox, requests, review_items, watches
from services.core.store.database import MONTHS_AHEAD, Database
from services.review import standing

BATCH = 500
DAY_SECONDS = 24 * 3600
WATCH_DAYS, ANOMALY_DAYS = 90, 365

log = structlog.get_logger()


async def sweep(database: Database, stalled_seconds: float) -> None:
    """What cannot wait: stalled items, ended leases, figures; raises Unavailable if Postgres is not there."""
    async with database.transaction() as conn:
        stalled = await outbox.revive_stalled(conn, stalled_seconds)
    async with database.transaction() as conn:
        lapsed = await claims.lapse(conn, BATCH)
    await show_figures(database)
    if stalled or lapsed:
        log.info("swept", stalled=stalled, lapsed=lapsed)
    await standing.sweep(database)


async def tidy(database: Database, evidence: EvidenceStore) -> None:
    """What can: expired rows and evidence, the next months' partitions; raises Unavailable if Postgres is not there."""
    async with database.transaction() as conn:
        await outbox.forget_published(conn, DAY_SECONDS)
        await requests.forget_expired(conn)
        await watches.forget(conn, WATCH_DAYS)
        await anomalies.forget(conn, ANOMALY_DAYS)
        await conn.execute("SELECT create_decision_partitions(%s)", [MONTHS_AHEAD])
    await standing.tidy(database)
    expired = 0
    while batch := await _delete_expired(database, evidence):
        expired += batch
    orphans = await delete_orphans(database, evidence, DAY_SECONDS)
    log.info("tidied", expired=expired, orphans=orphans)


async def _delete_expired(database: Database, evidence: EvidenceStore) -> int:
    async with database.transaction() as conn:
        expired = await evidence_rows.forget_expired(conn, BATCH)
    # After the commit: a file without a row is found by `delete_orphans`, a row without its file would be a lie.
    await asyncio.to_thread(_delete, evidence, expired)
    return len(expired)


async def delete_orphans(database: Database, evidence: EvidenceStore, seconds: float) -> int:
    """Deletes files older than `seconds` that no row names, for their transaction never came; returns how many."""
    old = await asyncio.to_thread(lambda: list(evidence.older_than(seconds)))
    async with database.transaction() as conn:
        known = await evidence_rows.known(conn, old)
    orphans = [blob_id for blob_id in old if blob_id not in known]
    await asyncio.to_thread(_delete, evidence, orphans)
    return len(orphans)


async def show_figures(database: Database) -> None:
    """Publishes depth and age of each queue; a queue that is empty now shows zero."""
    async with database.transaction() as conn:
        figures = await review_items.figures(conn)
    telemetry.QUEUE_DEPTH.clear()
    telemetry.QUEUE_AGE.clear()
    for queue in figures:
        telemetry.QUEUE_DEPTH.labels(queue.queue).set(queue.depth)
        telemetry.QUEUE_AGE.labels(queue.queue).set(queue.oldest_seconds)


def _delete(evidence: EvidenceStore, ids: list[UUID]) -> None:
    for blob_id in ids:
        evidence.delete(blob_id)
