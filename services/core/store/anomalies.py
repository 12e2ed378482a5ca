"""Anomalies: each firing of a rule, with its explanation and numbers, until a person has seen it. Never content."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from services.core.anomalies.alarm import Rule
from services.core.policy.anomaly_rules import Action, Mode
from services.core.store import events
from services.core.store.database import Connection


@dataclass(frozen=True, slots=True)
class Anomaly:
    """A firing. `tenant` None: `subject` is a model; else it is an account, or empty for the tenant itself.

    `action` is what `mode` enforce did; in shadow nothing was done. `sealed`: for the sealed role alone.
    """

    anomaly_id: UUID
    at: datetime
    tenant: str | None
    subject: str
    rule: Rule
    mode: Mode
    action: Action
    explanation: str
    facts: Mapping[str, float]
    sealed: bool
    seen_by: str | None = None
    seen_at: datetime | None = None


async def record(conn: Connection, anomalies: Sequence[Anomaly]) -> None:
    """Writes firings and tells of each, in the caller's transaction."""
    await conn.cursor().executemany(
        "INSERT INTO anomalies (anomaly_id, at, tenant, subject, rule, mode, action, explanation, facts, sealed)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
        [
            (a.anomaly_id, a.at, a.tenant, a.subject, a.rule, a.mode, a.action, a.explanation, Jsonb(a.facts), a.sealed)
            for a in anomalies
        ],
    )
    for anomaly in anomalies:
        await events.append(
            conn,
            "anomaly.fired",
            str(anomaly.anomaly_id),
            tenant=anomaly.tenant,
            sealed=anomaly.sealed,
            rule=anomaly.rule,
            mode=anomaly.mode,
            action=anomaly.action,
            about=anomaly.subject,
            explanation=anomaly.explanation,
        )


async def of_subject(
    conn: Connection, tenant: str | None, subject: str, *, sealed: Collection[bool], limit: int
) -> list[Anomaly]:
    """The latest firings about an account, a tenant (subject '') or a model (tenant None), newest first."""
    async with conn.cursor(row_factory=class_row(Anomaly)) as cursor:
        await cursor.execute(
            "SELECT * FROM anomalies WHERE tenant IS NOT DISTINCT FROM %s AND subject = %s AND sealed = ANY(%s)"
            " ORDER BY at DESC, anomaly_id LIMIT %s",
            [tenant, subject, list(sealed), limit],
        )
        return await cursor.fetchall()


async def unseen(conn: Connection, *, sealed: Collection[bool], limit: int) -> list[Anomaly]:
    """Firings that no person has seen, oldest first; those in shadow too, for they say what enforcing would do."""
    async with conn.cursor(row_factory=class_row(Anomaly)) as cursor:
        await cursor.execute(
            "SELECT * FROM anomalies WHERE seen_at IS NULL AND sealed = ANY(%s) ORDER BY at, anomaly_id LIMIT %s",
            [list(sealed), limit],
        )
        return await cursor.fetchall()


async def seen(conn: Connection, *, sealed: Collection[bool], limit: int) -> list[Anomaly]:
    """Firings that somebody has seen, the latest look first."""
    async with conn.cursor(row_factory=class_row(Anomaly)) as cursor:
        await cursor.execute(
            "SELECT * FROM anomalies WHERE seen_at IS NOT NULL AND sealed = ANY(%s)"
            " ORDER BY seen_at DESC, anomaly_id LIMIT %s",
            [list(sealed), limit],
        )
        return await cursor.fetchall()


async def mark_seen(conn: Connection, anomaly_id: UUID, who: str, *, sealed: Collection[bool]) -> bool:
    """Records that `who` has seen a firing; False where there is none that they may see, or it was seen before."""
    cursor = await conn.execute(
        "UPDATE anomalies SET seen_by = %s, seen_at = now()"
        " WHERE anomaly_id = %s AND seen_at IS NULL AND sealed = ANY(%s)",
        [who, anomaly_id, list(sealed)],
    )
    return cursor.rowcount == 1


async def forget(conn: Connection, days: int) -> int:
    """Deletes firings older than `days`, and returns how many."""
    cursor = await conn.execute("DELETE FROM anomalies WHERE at < now() - make_interval(days => %s)", [days])
    return cursor.rowcount


@dataclass(frozen=True, slots=True)
class ShadowedRule:
    """How often a rule in shadow would have done something, and when it last did."""

    rule: str
    count: int
    last_at: datetime


async def in_shadow(conn: Connection, since: datetime, sealed: list[bool]) -> list[ShadowedRule]:
    """What the rules in shadow found since a time, rule by rule; reads all anomalies. `sealed`: which of both kinds."""
    async with conn.cursor(row_factory=class_row(ShadowedRule)) as cursor:
        await cursor.execute(
            "SELECT rule, count(*) AS count, max(at) AS last_at FROM anomalies WHERE mode = 'shadow' AND at >= %s"
            " AND sealed = ANY(%s) GROUP BY rule ORDER BY count DESC, rule",
            [since, sealed],
        )
        return await cursor.fetchall()
