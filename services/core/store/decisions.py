"""Decisions: what was decided about each request, by which policy and models. Append-only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from psycopg.rows import class_row
from psycopg.types.json import Jsonb
from pydantic import TypeAdapter

from services.core.signals import ModelVersion, Signal
from services.core.store.database import Connection
from services.core.store.review_items import REASONS, NewReviewItem, open_items
from services.core.verdicts import Reason, Verdict

SIGNALS: TypeAdapter[tuple[Signal, ...]] = TypeAdapter(tuple[Signal, ...])
MODELS: TypeAdapter[tuple[ModelVersion, ...]] = TypeAdapter(tuple[ModelVersion, ...])


@dataclass(frozen=True, slots=True)
class Decision:
    """One request's outcome. `digests` are sha256 in lower-case hex by name ("prompt", "image", "mask", "output0").

    `created_at` is set by Postgres: None until the decision is read back. `resumes` is the held decision that it
    carried on.
    """

    decision_id: UUID
    request_id: UUID
    tenant: str
    account: str
    operation: str
    verdict: Verdict
    reasons: tuple[Reason, ...]
    signals: tuple[Signal, ...]
    policy: str
    models: tuple[ModelVersion, ...]
    digests: dict[str, str]
    created_at: datetime | None = None
    resumes: UUID | None = None

    def __post_init__(self) -> None:
        """Turns what Postgres returns into our own types."""
        object.__setattr__(self, "verdict", Verdict(self.verdict))
        object.__setattr__(self, "reasons", REASONS.validate_python(self.reasons))
        object.__setattr__(self, "signals", SIGNALS.validate_python(self.signals))
        object.__setattr__(self, "models", MODELS.validate_python(self.models))


async def record(conn: Connection, decision: Decision, items: Sequence[NewReviewItem]) -> None:
    """Writes a decision, the items it opens and their outbox messages, all in the caller's transaction."""
    await conn.execute(
        "INSERT INTO decisions (decision_id, request_id, tenant, account, operation, verdict, reasons, signals, policy,"
        " models, digests, resumes) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
        [
            decision.decision_id,
            decision.request_id,
            decision.tenant,
            decision.account,
            decision.operation,
            int(decision.verdict),
            Jsonb(REASONS.dump_python(decision.reasons, mode="json")),
            Jsonb(SIGNALS.dump_python(decision.signals, mode="json")),
            decision.policy,
            Jsonb(MODELS.dump_python(decision.models, mode="json")),
            Jsonb(decision.digests),
            decision.resumes,
        ],
    )
    await open_items(conn, decision.decision_id, decision.tenant, decision.account, items)


async def get(conn: Connection, tenant: str, decision_id: UUID) -> Decision | None:
    """A decision of this tenant, None where there is none; another tenant's is none."""
    async with conn.cursor(row_factory=class_row(Decision)) as cursor:
        await cursor.execute(
            "SELECT decision_id, request_id, tenant, account, operation, verdict, reasons, signals, policy, models,"
            " digests, created_at, resumes FROM decisions WHERE tenant = %s AND decision_id = %s",
            [tenant, decision_id],
        )
        return await cursor.fetchone()
