"""What must be seen to from time to time: stalled items, ended leases, items that have aged, expired evidence,
figures.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import UUID

import structlog

from services.core import telemetry
from services.core.evidence import EvidenceFolder
from services.core.policy.review_rules import SEALED_QUEUE
from services.core.store import (
    anomalies,
    bulk,
    cases,
    claims,
    events,
    evidence_rows,
    lessons,
    limits,
    outbox,
    policies,
    requests,
    review_items,
    routings,
    stops,
    watches,
    webhooks,
)
from services.core.store.database import MONTHS_AHEAD, Connection, Database
from services.review import standing, weekly
from services.review.calibration import calibration
from services.review.routing import route

BATCH = 500
EVENTS_BATCH = 10_000
DAY_SECONDS = 24 * 3600
WATCH_DAYS, ANOMALY_DAYS = 90, 365
STOP_DAYS = 365  # the longest that the gateway may keep evidence; a stop says nothing without it
CALIBRATION_AGE = timedelta(days=28)
SYSTEM = "review"
PENDING = "pending"  # as `review_items.figures` calls what is in no queue yet

log = structlog.get_logger()


async def sweep(database: Database, stalled_seconds: float) -> None:
    """What cannot wait: stalled and aged items, ended leases, figures; raises Unavailable without Postgres."""
    async with database.transaction() as conn:
        stalled = await outbox.revive_stalled(conn, stalled_seconds)
    async with database.transaction() as conn:
        lapsed = await claims.lapse(conn, BATCH)
    async with database.transaction() as conn:
        moved = await reroute_aged(conn)
    await show_figures(database)
    await standing.sweep(database)
    if stalled or lapsed or moved:
        log.info("swept", stalled=stalled, lapsed=lapsed, moved=moved)


async def reroute_aged(conn: Connection) -> int:
    """Moves up to 500 waiting items that the policy in force routes otherwise now that they are so old; how many."""
    items = await routings.due_for_rerouting(conn, BATCH)
    if not items:
        return 0
    rules = (await policies.load_active(conn)).document.review
    now = await review_items.now(conn)
    moved = 0
    for item in items:
        routing = route(item, rules, now)
        if await routings.reroute(conn, item, routing, SYSTEM):
            moved += 1
            await cases.stop_leading(conn, [item.item_id])
            await cases.lead(conn, item, routing.queue)
    return moved


async def tidy(database: Database, evidence: EvidenceFolder, event_days: float = 30) -> None:
    """What can: what expired, the next partitions, the week's report; raises Unavailable if Postgres is not there."""
    async with database.transaction() as conn:
        await outbox.forget_published(conn, DAY_SECONDS)
        await requests.forget_expired(conn)
        await watches.forget(conn, WATCH_DAYS)
        await anomalies.forget(conn, ANOMALY_DAYS)
        await stops.forget(conn, STOP_DAYS)
        await bulk.forget_expired(conn)
        await limits.forget_idle(conn)
        await conn.execute("SELECT create_decision_partitions(%s)", [MONTHS_AHEAD])
        await weekly.keep(conn, datetime.now(UTC))
    await show_calibration(database)
    await standing.tidy(database)
    while await _forget_events(database, event_days):
        pass
    expired = 0
    while batch := await _delete_expired(database, evidence):
        expired += batch
    orphans = await delete_orphans(database, evidence, DAY_SECONDS)
    log.info("tidied", expired=expired, orphans=orphans)


async def _forget_events(database: Database, days: float) -> bool:
    """Forgets a batch of events and deliveries; whether there may be more."""
    async with database.transaction() as conn:
        told = await events.forget(conn, days, EVENTS_BATCH)
        taken = await webhooks.forget_delivered(conn, days, EVENTS_BATCH)
    return EVENTS_BATCH in (told, taken)


async def _delete_expired(database: Database, evidence: EvidenceFolder) -> int:
    async with database.transaction() as conn:
        expired = await evidence_rows.forget_expired(conn, BATCH)
    # After the commit: a file without a row is found by `delete_orphans`, a row without its file would be a lie.
    await asyncio.to_thread(_delete, evidence, expired)
    return len(expired)


async def delete_orphans(database: Database, evidence: EvidenceFolder, seconds: float) -> int:
    """Deletes files older than `seconds` that no row names, for their transaction never came; returns how many."""
    old = await asyncio.to_thread(lambda: list(evidence.older_than(seconds)))
    async with database.transaction() as conn:
        known = await evidence_rows.known(conn, old)
    orphans = [blob_id for blob_id in old if blob_id not in known]
    await asyncio.to_thread(_delete, evidence, orphans)
    return len(orphans)


async def show_figures(database: Database) -> None:
    """Publishes depth and age of each queue but the sealed one, and what is overdue in all; an empty queue is left out,
    but for "pending", which an alert looks at.
    """
    async with database.transaction() as conn:
        figures = await review_items.figures(conn)
    telemetry.QUEUE_OVERDUE.set(sum(queue.overdue for queue in figures))
    telemetry.QUEUE_DEPTH.clear()
    telemetry.QUEUE_AGE.clear()
    telemetry.QUEUE_DEPTH.labels(PENDING).set(0)
    telemetry.QUEUE_AGE.labels(PENDING).set(0)
    for queue in figures:
        if queue.queue == SEALED_QUEUE:
            continue
        telemetry.QUEUE_DEPTH.labels(queue.queue).set(queue.depth)
        telemetry.QUEUE_AGE.labels(queue.queue).set(queue.oldest_seconds)


async def show_calibration(database: Database) -> None:
    """Publishes how far the scores that people settled in the last 28 days are from what they said."""
    async with database.transaction() as conn:
        rows = calibration(await lessons.binned(conn, CALIBRATION_AGE))
    for gauge in (
        telemetry.REVIEWED_SCORES,
        telemetry.REVIEWED_MEAN,
        telemetry.REVIEWED_UPHELD,
        telemetry.CALIBRATION_ERROR,
    ):
        gauge.clear()
    for row in rows:
        telemetry.REVIEWED_SCORES.labels(row.stage, row.category).set(row.count)
        telemetry.REVIEWED_MEAN.labels(row.stage, row.category).set(row.score)
        telemetry.REVIEWED_UPHELD.labels(row.stage, row.category).set(row.upheld)
        telemetry.CALIBRATION_ERROR.labels(row.stage, row.category).set(row.error)


def _delete(evidence: EvidenceFolder, ids: list[UUID]) -> None:
    for blob_id in ids:
        evidence.delete(blob_id)
