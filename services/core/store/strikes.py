"""Strikes and the history of standings. Nothing of them ever changes; what is taken back is said in its own row."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

from psycopg.rows import class_row

from services.core.policy.categories import Stage
from services.core.policy.standing_rules import Mode
from services.core.standing.ladder import Standing, Strike
from services.core.store.database import Connection

Source = Literal["blocked", "upheld", "reported"]

# So many of an account's latest strikes are looked at: far more than any ladder needs.
MOST = 1000


@dataclass(frozen=True, slots=True)
class NewStrike:
    """A strike to give: for what, found by whom, where the content stood, and its weight."""

    decision_id: UUID
    source: Source
    category: str
    stage: Stage
    weight: float
    sealed: bool


@dataclass(frozen=True, slots=True)
class GivenStrike:
    """A strike on record; the last three say that it was taken back, None and empty where it was not."""

    strike_id: UUID
    decision_id: UUID
    source: Source
    category: str
    stage: Stage
    weight: float
    at: datetime
    reversed_at: datetime | None
    reversed_by: str | None
    why: str | None


@dataclass(frozen=True, slots=True)
class Change:
    """A change of standing; in shadow nothing was done. `who` is a person, or "portcullis" for a rule."""

    change_id: UUID
    before: Standing
    step: Standing
    mode: Mode
    until: datetime | None
    reason: str
    who: str
    note: str
    at: datetime


async def secret(conn: Connection) -> bytes:
    """The house's secret, by which each account's ladder differs a little."""
    row = await (await conn.execute("SELECT secret FROM standing_secret")).fetchone()
    assert row is not None, "a migration put it there"
    return bytes(row[0])


async def give(conn: Connection, tenant: str, account: str, strike: NewStrike, at: datetime) -> bool:
    """Writes a strike; False, and nothing done, where the decision has one of this source and category already."""
    cursor = await conn.execute(
        "INSERT INTO strikes (tenant, account, decision_id, source, category, stage, weight, sealed, at)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT (decision_id, source, category) DO NOTHING",
        [
            tenant,
            account,
            strike.decision_id,
            strike.source,
            strike.category,
            strike.stage,
            strike.weight,
            strike.sealed,
            at,
        ],
    )
    return cursor.rowcount == 1


async def history(conn: Connection, tenant: str, account: str, since: datetime) -> list[Strike]:
    """An account's strikes since a time that were not taken back, sealed ones too: to reckon with, not to show."""
    async with conn.cursor(row_factory=class_row(Strike)) as cursor:
        await cursor.execute(
            "SELECT decision_id, at, weight, category, sealed FROM strikes WHERE tenant = %s AND account = %s"
            " AND at >= %s AND NOT EXISTS (SELECT FROM strike_reversals r WHERE r.strike_id = strikes.strike_id)"
            " ORDER BY at DESC LIMIT %s",
            [tenant, account, since, MOST],
        )
        return await cursor.fetchall()


async def of_account(conn: Connection, tenant: str, account: str, *, sealed: list[bool]) -> list[GivenStrike]:
    """An account's strikes to show, newest first; `sealed` says which of both kinds."""
    async with conn.cursor(row_factory=class_row(GivenStrike)) as cursor:
        await cursor.execute(
            "SELECT s.strike_id, decision_id, source, category, stage, weight, s.at, r.at AS reversed_at,"
            " r.who AS reversed_by, r.why FROM strikes s LEFT JOIN strike_reversals r USING (strike_id)"
            " WHERE tenant = %s AND account = %s AND sealed = ANY(%s) ORDER BY s.at DESC, s.strike_id LIMIT %s",
            [tenant, account, sealed, MOST],
        )
        return await cursor.fetchall()


async def reverse(
    conn: Connection,
    tenant: str,
    decision_id: UUID,
    *,
    who: str,
    why: str,
    appeal: UUID | None,
    now: datetime,
    categories: list[str] | None = None,
    sealed: Collection[bool] = (False, True),
) -> list[str]:
    """Takes back a decision's strikes (of these categories only, where given) and names the account of each.

    `sealed` says which of both kinds are taken back.
    """
    cursor = await conn.execute(
        "INSERT INTO strike_reversals (strike_id, who, why, appeal, at)"
        " SELECT strike_id, %s, %s, %s, %s FROM strikes WHERE tenant = %s AND decision_id = %s"
        " AND sealed = ANY(%s) AND (%s::text[] IS NULL OR category = ANY(%s)) ON CONFLICT DO NOTHING RETURNING"
        " (SELECT account FROM strikes s WHERE s.strike_id = strike_reversals.strike_id)",
        [who, why, appeal, now, tenant, decision_id, list(sealed), categories, categories],
    )
    return [row[0] for row in await cursor.fetchall()]


async def record_change(conn: Connection, tenant: str, account: str, change: Change) -> None:
    """Writes a change of standing, or one that a step in shadow would have made."""
    await conn.execute(
        "INSERT INTO standing_changes (change_id, tenant, account, before, step, mode, until, reason, who, note, at)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
        [
            change.change_id,
            tenant,
            account,
            change.before,
            change.step,
            change.mode,
            change.until,
            change.reason,
            change.who,
            change.note,
            change.at,
        ],
    )


async def changes(conn: Connection, tenant: str, account: str, limit: int) -> list[Change]:
    """The last changes of an account's standing, newest first."""
    async with conn.cursor(row_factory=class_row(Change)) as cursor:
        await cursor.execute(
            "SELECT change_id, before, step, mode, until, reason, who, note, at FROM standing_changes"
            " WHERE tenant = %s AND account = %s ORDER BY at DESC, change_id LIMIT %s",
            [tenant, account, limit],
        )
        return await cursor.fetchall()


@dataclass(frozen=True, slots=True)
class ShadowedStep:
    """How many accounts a step in shadow would have met, and when it last did."""

    step: Standing
    accounts: int
    last_at: datetime


async def in_shadow(conn: Connection, since: datetime) -> list[ShadowedStep]:
    """What the steps in shadow would have done since a time, step by step; reads the whole history of standings."""
    async with conn.cursor(row_factory=class_row(ShadowedStep)) as cursor:
        await cursor.execute(
            "SELECT step, count(DISTINCT (tenant, account)) AS accounts, max(at) AS last_at FROM standing_changes"
            " WHERE mode = 'shadow' AND at >= %s GROUP BY step ORDER BY accounts DESC, step",
            [since],
        )
        return await cursor.fetchall()


async def shadowed(conn: Connection, tenant: str, account: str, step: Standing, now: datetime) -> bool:
    """Whether it is on record already that this step, in shadow, holds."""
    cursor = await conn.execute(
        "SELECT FROM standing_changes WHERE tenant = %s AND account = %s AND mode = 'shadow' AND step = %s"
        " AND until > %s LIMIT 1",
        [tenant, account, step, now],
    )
    return await cursor.fetchone() is not None
