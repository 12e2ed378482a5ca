"""What goes before and beside a case: its account's last decisions and cases, and the family of its pictures.

Each answer is bounded, and holds nothing sealed for who may not know of it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg import sql
from psycopg.rows import class_row

from services.core.store.database import Connection
from services.core.store.review_items import COLUMNS, ReviewItem
from services.core.verdicts import Verdict


@dataclass(frozen=True, slots=True)
class PastDecision:
    """One of an account's decisions: what it asked for, and what came of it."""

    decision_id: UUID
    operation: str
    verdict: Verdict
    categories: tuple[str, ...]
    created_at: datetime

    def __post_init__(self) -> None:
        """Turns what Postgres returns into our own types."""
        object.__setattr__(self, "verdict", Verdict(self.verdict))
        object.__setattr__(self, "categories", tuple(dict.fromkeys(self.categories or ())))


@dataclass(frozen=True, slots=True)
class Relative:
    """A released picture of the same family; `kinship` is how it is related to the case's."""

    image_id: UUID
    decision_id: UUID
    operation: str
    kinship: str
    depth: int
    created_at: datetime
    withdrawn_at: datetime | None


async def decisions_of(
    conn: Connection, tenant: str, account: str, seals: Collection[str], sealed: Sequence[bool], limit: int
) -> list[PastDecision]:
    """An account's last decisions, newest first; without those that are sealed unless `sealed` has True.

    `seals` are the categories of which nobody else may know.
    """
    async with conn.cursor(row_factory=class_row(PastDecision)) as cursor:
        await cursor.execute(
            "SELECT decision_id, operation, verdict, created_at,"
            " ARRAY(SELECT reason->>'category' FROM jsonb_array_elements(reasons) AS reason) AS categories"
            " FROM decisions WHERE tenant = %(tenant)s AND account = %(account)s AND (%(all)s OR NOT ("
            " EXISTS (SELECT FROM jsonb_array_elements(reasons) AS reason WHERE reason->>'category' = ANY(%(seals)s))"
            " OR EXISTS (SELECT FROM review_items WHERE review_items.decision_id = decisions.decision_id AND sealed)))"
            " ORDER BY created_at DESC LIMIT %(limit)s",
            {"tenant": tenant, "account": account, "all": True in sealed, "seals": list(seals), "limit": limit},
        )
        return await cursor.fetchall()


async def cases_of(
    conn: Connection, tenant: str, account: str, sealed: Sequence[bool], without: UUID | None, limit: int
) -> list[ReviewItem]:
    """An account's last cases, but one where it is named, newest first; copies of known cases are none of its own."""
    async with conn.cursor(row_factory=class_row(ReviewItem)) as cursor:
        await cursor.execute(
            sql.SQL(
                "SELECT {} FROM review_items WHERE tenant = %s AND account = %s AND sealed = ANY(%s)"
                " AND golden IS NULL AND item_id IS DISTINCT FROM %s ORDER BY created_at DESC LIMIT %s"
            ).format(COLUMNS),
            [tenant, account, list(sealed), without, limit],
        )
        return await cursor.fetchall()


async def family_of(
    conn: Connection, tenant: str, decision_id: UUID, ancestors: Sequence[UUID], limit: int
) -> list[Relative]:
    """The pictures of this tenant that a decision released, those that they come from, and those made of them.

    `ancestors` are known ones of what the case is about, nearest first.
    """
    async with conn.cursor(row_factory=class_row(Relative)) as cursor:
        own = await _relatives(cursor, tenant, "released", "decision_id = %(of)s", decision_id, limit)
        known = [*ancestors, *(await _parents(conn, tenant, decision_id, limit))]
        above = await _relatives(cursor, tenant, "ancestor", "image_id = ANY(%(of)s)", known, limit)
        roots = [image.image_id for image in own] or [image.image_id for image in above]
        below = await _relatives(cursor, tenant, "descendant", "parents && %(of)s", roots, limit)
    seen = {image.image_id for image in (*own, *above)}
    return [*above, *own, *(image for image in below if image.image_id not in seen)][:limit]


async def _parents(conn: Connection, tenant: str, decision_id: UUID, limit: int) -> list[UUID]:
    cursor = await conn.execute(
        "SELECT DISTINCT unnest(parents) FROM images WHERE tenant = %s AND decision_id = %s LIMIT %s",
        [tenant, decision_id, limit],
    )
    return [row[0] for row in await cursor.fetchall()]


async def _relatives(cursor: Any, tenant: str, kinship: str, where: str, of: Any, limit: int) -> list[Relative]:
    await cursor.execute(
        "SELECT image_id, decision_id, operation, depth, created_at, withdrawn_at, %(kinship)s AS kinship"  # noqa: S608
        f" FROM images WHERE tenant = %(tenant)s AND {where} ORDER BY depth, created_at LIMIT %(limit)s",
        {"kinship": kinship, "tenant": tenant, "of": of, "limit": limit},
    )
    found: list[Relative] = await cursor.fetchall()
    return found
