"""What the books say of conduct: refusals as they were decided, and what people upheld; account by account."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from psycopg.rows import class_row

from services.core.store.database import Connection
from services.core.store.review_items import REASONS
from services.core.verdicts import Reason, Verdict


@dataclass(frozen=True, slots=True)
class Record:
    """A refused request with the reasons that refused it, or, where `weight` is not None, a strike that people gave."""

    tenant: str
    account: str
    decision_id: UUID
    at: datetime
    reasons: tuple[Reason, ...]
    weight: float | None

    def __post_init__(self) -> None:
        """Turns what Postgres returns into our own types."""
        found = REASONS.validate_python(self.reasons)
        object.__setattr__(self, "reasons", tuple(each for each in found if each.verdict is Verdict.BLOCK))


async def count_accounts(conn: Connection, tenant: str | None) -> int:
    """How many accounts there are of one platform or (None) of all, testers of the filters left out."""
    cursor = await conn.execute(
        "SELECT count(*) FROM accounts WHERE tier <> 'red_team' AND (%s::text IS NULL OR tenant = %s)",
        [tenant, tenant],
    )
    row = await cursor.fetchone()
    return int(row[0]) if row else 0


async def since(conn: Connection, at: datetime, tenant: str | None) -> AsyncIterator[Record]:
    """Every record since a time, account by account and in order of time; testers of the filters left out.

    What the screen refused is no record: all that was asked for had been let through. Nor is what was taken back.
    """
    async with conn.cursor("conduct", row_factory=class_row(Record)) as cursor:
        await cursor.execute(
            """
            WITH record AS (
                SELECT tenant, account, decision_id, created_at AS at, reasons, NULL::float8 AS weight FROM decisions d
                WHERE verdict = 3 AND operation IN ('create', 'edit', 'variation') AND created_at >= %(at)s
                AND NOT digests ? 'output0' AND NOT EXISTS (
                    SELECT FROM strikes s JOIN strike_reversals USING (strike_id)
                    WHERE s.decision_id = d.decision_id AND s.source = 'blocked'
                )
                UNION ALL
                SELECT tenant, account, decision_id, at, '[]'::jsonb, weight FROM strikes
                WHERE source <> 'blocked' AND at >= %(at)s
                AND NOT EXISTS (SELECT FROM strike_reversals r WHERE r.strike_id = strikes.strike_id)
            )
            SELECT record.* FROM record JOIN accounts USING (tenant, account)
            WHERE tier <> 'red_team' AND (%(tenant)s::text IS NULL OR tenant = %(tenant)s)
            ORDER BY tenant, account, at
            """,
            {"at": at, "tenant": tenant},
        )
        async for record in cursor:
            yield record
