"""Held requests: what each needs to go on once people have released it, and which request carried it on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from psycopg.rows import class_row

from services.core.errors import Aborted, FailedPrecondition
from services.core.store.database import Connection


@dataclass(frozen=True, slots=True)
class HeldRequest:
    """A request of which something is held. `order_evidence` is the blob that says what was asked.

    `carried` are the decisions that it had come to before, oldest first: what was released of them stays released.
    `evidence` is all that it needs to go on, kept for `evidence_life` after the last of its items was settled.
    """

    decision_id: UUID
    tenant: str
    account: str
    carried: Sequence[UUID]
    order_evidence: UUID
    evidence: Sequence[UUID]
    evidence_life: timedelta
    resumed_as: UUID | None = None

    @property
    def decisions(self) -> list[UUID]:
        """Every decision that the request has come to, oldest first."""
        return [*self.carried, self.decision_id]


async def record(conn: Connection, held: HeldRequest) -> None:
    """Writes a held request in the caller's transaction, that of its decision."""
    await conn.execute(
        "INSERT INTO held_requests (decision_id, tenant, account, carried, order_evidence, evidence, evidence_life)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s)",
        [
            held.decision_id,
            held.tenant,
            held.account,
            list(held.carried),
            held.order_evidence,
            list(held.evidence),
            held.evidence_life,
        ],
    )


async def get(conn: Connection, tenant: str, decision_id: UUID) -> HeldRequest | None:
    """The held request of this tenant's decision, None where nothing of it is held; another tenant's is none."""
    async with conn.cursor(row_factory=class_row(HeldRequest)) as cursor:
        await cursor.execute(
            "SELECT decision_id, tenant, account, carried, order_evidence, evidence, evidence_life, resumed_as"
            " FROM held_requests WHERE tenant = %s AND decision_id = %s",
            [tenant, decision_id],
        )
        return await cursor.fetchone()


async def take(conn: Connection, tenant: str, decision_id: UUID, request_id: UUID) -> None:
    """Makes `request_id`, which is running, the one that carries the decision on.

    Raises FailedPrecondition where it was carried on before, Aborted while another request is at it. A request that
    was given up, or whose gateway died, holds nothing: `requests` knows.
    """
    # Two statements: the second must see what was committed while the first waited for the row.
    cursor = await conn.execute(
        "SELECT resumed_as, resumed_by FROM held_requests WHERE tenant = %s AND decision_id = %s FOR UPDATE",
        [tenant, decision_id],
    )
    row = await cursor.fetchone()
    assert row is not None, "a held request is never deleted"
    resumed_as, holder = row
    if resumed_as is not None:
        raise already_resumed()
    if holder not in (None, request_id) and (seconds := await _runs_for(conn, tenant, holder)) > 0:
        raise Aborted(
            "another request is carrying this decision on", reason="RESUME_RUNNING", retry_after=min(seconds, 5)
        )
    await conn.execute("UPDATE held_requests SET resumed_by = %s WHERE decision_id = %s", [request_id, decision_id])


async def finish(conn: Connection, decision_id: UUID, request_id: UUID, resumed_as: UUID) -> None:
    """Records what the decision was resumed as; call it in the transaction that records that decision.

    Raises Aborted if another request took over: then nothing of this one may be kept.
    """
    cursor = await conn.execute(
        "UPDATE held_requests SET resumed_as = %s WHERE decision_id = %s AND resumed_by = %s AND resumed_as IS NULL",
        [resumed_as, decision_id, request_id],
    )
    if cursor.rowcount == 0:
        raise Aborted("another request carried this decision on", reason="RESUME_TAKEN_OVER")


async def extend(conn: Connection, decision_id: UUID) -> None:
    """Keeps the evidence of a decision for its whole life from now on; nothing where nothing of it is held."""
    await conn.execute(
        "UPDATE evidence SET expires_at = greatest(expires_at, now() + held.evidence_life) FROM held_requests held"
        " WHERE held.decision_id = %s AND evidence.evidence_id = ANY(held.evidence)",
        [decision_id],
    )


async def kept(conn: Connection, held: HeldRequest) -> bool:
    """Whether all that the request needs is still there."""
    cursor = await conn.execute("SELECT count(*) FROM evidence WHERE evidence_id = ANY(%s)", [list(set(held.evidence))])
    row = await cursor.fetchone()
    return row is not None and row[0] == len(set(held.evidence))


def already_resumed() -> FailedPrecondition:
    """What a second request for the same decision is told."""
    return FailedPrecondition("this decision was resumed before", reason="ALREADY_RESUMED")


async def _runs_for(conn: Connection, tenant: str, request_id: UUID) -> float:
    """Seconds for which a request may still be running; 0 or less where it is not."""
    cursor = await conn.execute(
        "SELECT extract(epoch FROM lease_expires_at - now())::float8 FROM requests"
        " WHERE tenant = %s AND request_id = %s AND state = 'running'",
        [tenant, request_id],
    )
    row = await cursor.fetchone()
    return float(row[0]) if row is not None else 0.0
