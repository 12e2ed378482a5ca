"""Appeals: users' requests to look again at a refusal, or at the suspension of their account."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

from psycopg import sql
from psycopg.rows import class_row

from services.core.errors import FailedPrecondition
from services.core.store import stops
from services.core.store.database import Connection
from services.core.store.stops import Stop

State = Literal["open", "granted", "denied"]

_COLUMNS = sql.SQL("appeal_id, tenant, account, decision_id, item_id, statement, state, due_at, created_at, decided_at")


@dataclass(frozen=True, slots=True)
class Appeal:
    """An appeal; of the account's suspension where `decision_id` is None. `statement` is an evidence id.

    `created_at` is set by Postgres: None until the row is read back.
    """

    appeal_id: UUID
    tenant: str
    account: str
    decision_id: UUID | None
    item_id: UUID
    statement: UUID | None
    due_at: datetime
    state: State = "open"
    created_at: datetime | None = None
    decided_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Suspension:
    """What an appeal of a suspension is about: the decision that its case names, if any, and whether it is sealed.

    `pending`: a person has not looked at it yet. `appealed`: it was appealed before.
    """

    decision_id: UUID | None
    sealed: bool
    pending: bool
    appealed: bool


async def add(conn: Connection, appeal: Appeal, about: UUID) -> None:
    """Writes an appeal whose item is there; whoever judged a case of the decision `about` before may not take it.

    Nor may, where it is of a suspension, who put the account there without a case.
    Raises FailedPrecondition where the decision was appealed before.
    """
    cursor = await conn.execute(
        "INSERT INTO appeals (appeal_id, tenant, account, decision_id, item_id, statement, due_at)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s) ON CONFLICT (decision_id) WHERE decision_id IS NOT NULL DO NOTHING",
        [
            appeal.appeal_id,
            appeal.tenant,
            appeal.account,
            appeal.decision_id,
            appeal.item_id,
            appeal.statement,
            appeal.due_at,
        ],
    )
    if cursor.rowcount == 0:
        raise appealed_before()
    await conn.execute(
        "INSERT INTO review_barred (item_id, analyst, judged) SELECT %(item)s, who, true FROM ("
        " SELECT decided_by AS who FROM review_items WHERE decision_id = %(about)s AND decided_by IS NOT NULL"
        " UNION SELECT analyst FROM review_barred JOIN review_items USING (item_id)"
        " WHERE decision_id = %(about)s AND judged) AS judges ON CONFLICT DO NOTHING",
        {"item": appeal.item_id, "about": about},
    )
    if appeal.decision_id is None:
        await conn.execute(
            "INSERT INTO review_barred (item_id, analyst, judged)"
            " SELECT DISTINCT %s::uuid, who, true FROM standing_changes JOIN accounts USING (tenant, account)"
            " WHERE tenant = %s AND account = %s AND mode = 'enforce' AND at >= standing_since"
            " AND starts_with(who, 'analyst/') ON CONFLICT DO NOTHING",
            [appeal.item_id, appeal.tenant, appeal.account],
        )


async def of_decision(conn: Connection, tenant: str, decision_id: UUID) -> Appeal | None:
    """The appeal of a decision of this tenant, None where there is none."""
    return await _one(conn, sql.SQL("tenant = %s AND decision_id = %s"), [tenant, decision_id])


async def of_item(conn: Connection, item_id: UUID) -> Appeal | None:
    """The appeal that a case is about, None where it is about something else."""
    return await _one(conn, sql.SQL("item_id = %s"), [item_id])


async def settle(conn: Connection, item_id: UUID, state: State) -> Appeal | None:
    """Decides the open appeal that a case is about, and returns it; None where there is none (any more)."""
    cursor = await conn.execute(
        "UPDATE appeals SET state = %s, decided_at = now() WHERE item_id = %s AND state = 'open'", [state, item_id]
    )
    return await of_item(conn, item_id) if cursor.rowcount else None


async def refused(conn: Connection, tenant: str, decision_id: UUID) -> list[Stop]:
    """What was refused in a decision of this tenant: by the policy, or by a person and settled; in order."""
    cursor = await conn.execute(
        """
        SELECT place FROM stops WHERE tenant = %s AND decision_id = %s AND (NOT held OR EXISTS (
            SELECT FROM review_items item
            WHERE item.decision_id = stops.decision_id AND item.kind = 'content' AND item.stage = stops.stage
                AND item.prompt IS NOT DISTINCT FROM stops.prompt AND item.image IS NOT DISTINCT FROM stops.image
                AND item.resolution = 'uphold' AND item.settled_at IS NOT NULL
        ))
        """,
        [tenant, decision_id],
    )
    places = {row[0] for row in await cursor.fetchall()}
    return [stop for stop in await stops.of_decision(conn, tenant, decision_id) if stop.place in places]


async def suspension(conn: Connection, tenant: str, account: str) -> Suspension | None:
    """The suspension or ban that holds for an account now, whose row is locked; None where none holds."""
    cursor = await conn.execute(
        "SELECT standing_since FROM accounts WHERE tenant = %s AND account = %s"
        " AND standing IN ('suspended', 'banned') AND (standing_until IS NULL OR standing_until > now()) FOR UPDATE",
        [tenant, account],
    )
    held = await cursor.fetchone()
    if held is None:
        return None
    cursor = await conn.execute(
        "SELECT decision_id, sealed, settled_at IS NULL FROM review_items WHERE tenant = %s AND account = %s"
        " AND kind = 'suspension' ORDER BY created_at DESC LIMIT 1",
        [tenant, account],
    )
    decision_id, sealed, pending = await cursor.fetchone() or (None, False, False)
    cursor = await conn.execute(
        "SELECT FROM appeals WHERE tenant = %s AND account = %s AND decision_id IS NULL"
        " AND (state = 'open' OR created_at >= %s) LIMIT 1",
        [tenant, account, held[0]],
    )
    return Suspension(decision_id, sealed, pending, await cursor.fetchone() is not None)


def appealed_before() -> FailedPrecondition:
    """What a second appeal is told."""
    return FailedPrecondition("this was appealed before, and one may appeal once", reason="APPEALED_BEFORE")


async def _one(conn: Connection, where: sql.Composable, values: list[object]) -> Appeal | None:
    async with conn.cursor(row_factory=class_row(Appeal)) as cursor:
        await cursor.execute(sql.SQL("SELECT {} FROM appeals WHERE {}").format(_COLUMNS, where), values)
        return await cursor.fetchone()
