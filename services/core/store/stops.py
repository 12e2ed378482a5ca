"""Stops: the checks of a request that did not open the gate, with what was checked, to appeal or to resume."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from psycopg.rows import class_row
from psycopg.types.json import Jsonb
from pydantic import TypeAdapter

from services.core.policy.categories import Stage
from services.core.signals import ModelVersion, Signal
from services.core.store.database import Connection
from services.core.verdicts import Reason, Verdict

_REASONS: TypeAdapter[tuple[Reason, ...]] = TypeAdapter(tuple[Reason, ...])
_SIGNALS: TypeAdapter[tuple[Signal, ...]] = TypeAdapter(tuple[Signal, ...])
_MODELS: TypeAdapter[tuple[ModelVersion, ...]] = TypeAdapter(tuple[ModelVersion, ...])


@dataclass(frozen=True, slots=True)
class Stop:
    """The `place`-th check of a decision, counted over all its checks; `output` is the picture's index at stage output.

    `digests` are those that a clearance would bind. The last four are evidence ids.
    """

    decision_id: UUID
    place: int
    tenant: str
    account: str
    stage: Stage
    output: int
    verdict: Verdict
    held: bool
    reasons: tuple[Reason, ...]
    signals: tuple[Signal, ...]
    models: tuple[ModelVersion, ...]
    policy: str
    digests: Mapping[str, str]
    sketch: bytes
    prompt: UUID | None = None
    negative_prompt: UUID | None = None
    image: UUID | None = None
    mask: UUID | None = None

    def __post_init__(self) -> None:
        """Turns what Postgres returns into our own types."""
        object.__setattr__(self, "verdict", Verdict(self.verdict))
        object.__setattr__(self, "reasons", _REASONS.validate_python(self.reasons))
        object.__setattr__(self, "signals", _SIGNALS.validate_python(self.signals))
        object.__setattr__(self, "models", _MODELS.validate_python(self.models))


async def record(conn: Connection, stops: Sequence[Stop]) -> None:
    """Writes stops in the caller's transaction, that of their decision."""
    await conn.cursor().executemany(
        "INSERT INTO stops (decision_id, place, tenant, account, stage, output, verdict, held, reasons, signals,"
        " models, policy, digests, sketch, prompt, negative_prompt, image, mask)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
        [_row(stop) for stop in stops],
    )


def _row(stop: Stop) -> list[Any]:
    return [
        stop.decision_id,
        stop.place,
        stop.tenant,
        stop.account,
        stop.stage,
        stop.output,
        int(stop.verdict),
        stop.held,
        Jsonb(_REASONS.dump_python(stop.reasons, mode="json")),
        Jsonb(_SIGNALS.dump_python(stop.signals, mode="json")),
        Jsonb(_MODELS.dump_python(stop.models, mode="json")),
        stop.policy,
        Jsonb(dict(stop.digests)),
        stop.sketch,
        stop.prompt,
        stop.negative_prompt,
        stop.image,
        stop.mask,
    ]


async def of_decision(conn: Connection, tenant: str, decision_id: UUID) -> list[Stop]:
    """The stops of a decision of this tenant, in order; none where all its checks opened the gate."""
    async with conn.cursor(row_factory=class_row(Stop)) as cursor:
        await cursor.execute(
            "SELECT decision_id, place, tenant, account, stage, output, verdict, held, reasons, signals, models,"
            " policy, digests, sketch, prompt, negative_prompt, image, mask"
            " FROM stops WHERE tenant = %s AND decision_id = %s ORDER BY place",
            [tenant, decision_id],
        )
        return await cursor.fetchall()


async def held_in(conn: Connection, tenant: str, decisions: Sequence[UUID]) -> list[Stop]:
    """What was held in any of these decisions of a tenant."""
    async with conn.cursor(row_factory=class_row(Stop)) as cursor:
        await cursor.execute(
            "SELECT decision_id, place, tenant, account, stage, output, verdict, held, reasons, signals, models,"
            " policy, digests, sketch, prompt, negative_prompt, image, mask"
            " FROM stops WHERE tenant = %s AND decision_id = ANY(%s) AND held ORDER BY created_at, place",
            [tenant, list(decisions)],
        )
        return await cursor.fetchall()


async def forget(conn: Connection, days: int) -> int:
    """Deletes stops older than `days`, whose evidence has expired, and returns how many.

    Those of a held request stay as long as what it needs to go on.
    """
    cursor = await conn.execute(
        """
        DELETE FROM stops WHERE created_at < now() - make_interval(days => %s) AND NOT EXISTS (
            SELECT FROM held_requests held JOIN evidence ON evidence_id = held.order_evidence
            WHERE stops.decision_id = held.decision_id OR stops.decision_id = ANY(held.carried)
        )
        """,
        [days],
    )
    return cursor.rowcount
