"""What decisions can teach: held prompts and outputs with what was found in them and what a person made of it.

Nothing sealed is among them, nor anything of a request of which a part was sealed.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from psycopg.rows import class_row

from services.core.policy.categories import Stage
from services.core.store.database import Connection
from services.core.store.review_items import REASONS, Resolution
from services.core.verdicts import Reason


@dataclass(frozen=True, slots=True)
class Lesson:
    """A case: `prompt` is the evidence that holds the text; `resolution` is None while no person has decided."""

    prompt: UUID
    stage: Stage
    reasons: tuple[Reason, ...]
    resolution: Resolution | None

    def __post_init__(self) -> None:
        """Turns what Postgres returns into our own types."""
        object.__setattr__(self, "reasons", REASONS.validate_python(self.reasons))


async def since(conn: Connection, age: timedelta, most: int) -> list[Lesson]:
    """Of the last `age`: prompts that a person decided, and outputs, decided or not; decided first, newest first.

    At most `most` of an account. An output speaks for its prompt only where nothing but the prompt made it. Evidence
    that has expired is left out even before it is swept away.
    """
    async with conn.cursor(row_factory=class_row(Lesson)) as cursor:
        await cursor.execute(
            """
            SELECT prompt, stage, reasons, resolution FROM (
                SELECT item.*, coalesce(decided_at, item.created_at) AS at, row_number() OVER (
                    PARTITION BY item.tenant, item.account
                    ORDER BY resolution IS NULL, coalesce(decided_at, item.created_at) DESC, item_id
                ) AS place
                FROM review_items item
                JOIN evidence ON evidence_id = prompt AND expires_at > now()
                JOIN decisions decision ON decision.decision_id = item.decision_id
                WHERE coalesce(decided_at, item.created_at) > now() - %(age)s
                AND (stage = 'output' AND operation = 'create' OR stage = 'prompt' AND resolution IS NOT NULL)
                AND NOT EXISTS (SELECT FROM review_items WHERE decision_id = item.decision_id AND sealed)
            ) AS ranked WHERE place <= %(most)s ORDER BY resolution IS NULL, at DESC, item_id
            """,
            {"age": age, "most": most},
        )
        return await cursor.fetchall()
