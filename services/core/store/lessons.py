"""What decisions can teach: what was found in prompts and pictures, and what a person made of it.

Nothing sealed is among them, nor anything of a request of which a part was sealed.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from psycopg import sql
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


@dataclass(frozen=True, slots=True)
class Label:
    """A person's word on one score: `upheld` says that it was a violation. `appeal`: decided on appeal, which wins."""

    item_id: UUID
    decision_id: UUID
    stage: Stage
    category: str
    score: float
    upheld: bool
    appeal: bool
    policy: str
    models: list[dict[str, str]]


_LABELS = sql.SQL(
    """
    SELECT item_id, item.decision_id, stage, reason ->> 'category' AS category,
        (reason ->> 'score')::float8 AS score, resolution = 'uphold' AS upheld, kind = 'appeal' AS appeal,
        decision.policy, decision.models
    FROM review_items item
    JOIN decisions decision ON decision.decision_id = item.decision_id
    CROSS JOIN LATERAL jsonb_array_elements(item.reasons) WITH ORDINALITY AS reasons(reason, place)
    WHERE item.settled_at >= coalesce(%(until)s, now()) - %(age)s
    AND item.settled_at < coalesce(%(until)s, now()) AND kind IN ('content', 'appeal') AND golden IS NULL
    AND (reason ->> 'threshold')::float8 > 0 AND (resolution = 'release' OR place = 1)
    AND NOT EXISTS (SELECT FROM review_items WHERE decision_id = item.decision_id AND sealed)
    AND NOT EXISTS (
        SELECT FROM review_items later WHERE later.decision_id = item.decision_id AND later.stage = item.stage
        AND later.kind = 'appeal' AND later.settled_at IS NOT NULL AND item.kind = 'content'
    )
    ORDER BY item.settled_at, item_id, place
    """
)
_BINNED = sql.SQL(
    "SELECT stage, category, count(*) AS count, avg(score) AS score, avg(upheld::int)::float8 AS upheld"
    " FROM ({}) AS label GROUP BY stage, category, least(floor(score * 10), 9) ORDER BY stage, category"
).format(_LABELS)


@dataclass(frozen=True, slots=True)
class Bin:
    """Settled scores of one tenth of 0 … 1: how many, their mean, and the share that people upheld."""

    stage: Stage
    category: str
    count: int
    score: float
    upheld: float


async def labels(conn: Connection, age: timedelta, until: datetime | None = None) -> list[Label]:
    """A row for each score that people settled in the `age` before `until` (now): content, and appeals of refusals.

    A release speaks of every threshold that fired; an uphold of the gravest alone, for one violation is enough. Rules
    are left out: they have no score. Where an appeal was decided, the case before it is not counted again.
    """
    async with conn.cursor(row_factory=class_row(Label)) as cursor:
        await cursor.execute(_LABELS, {"age": age, "until": until})
        return await cursor.fetchall()


async def binned(conn: Connection, age: timedelta) -> list[Bin]:
    """The labels of the last `age`, by stage, category and tenth of the score; bins without any are left out."""
    async with conn.cursor(row_factory=class_row(Bin)) as cursor:
        await cursor.execute(_BINNED, {"age": age, "until": None})
        return await cursor.fetchall()


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
