"""What is encrypted where, until when: the rows beside the files of `services.core.evidence`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Literal
from uuid import UUID

from services.core.evidence import Blob
from services.core.store.database import Connection

Kind = Literal["prompt", "negative_prompt", "image", "mask", "answer", "order", "statement"]


async def record(conn: Connection, tenant: str, kind: Kind, blob: Blob, life: timedelta) -> None:
    """Keeps a stored blob for `life`; a blob that no committed row names is swept away."""
    await conn.execute(
        "INSERT INTO evidence (evidence_id, tenant, kind, sha256, expires_at) VALUES (%s, %s, %s, %s, now() + %s)",
        [blob.id, tenant, kind, blob.sha256, life],
    )


async def forget_expired(conn: Connection, limit: int) -> list[UUID]:
    """Deletes up to `limit` expired rows and returns their ids, whose files are to be deleted after the commit.

    What a waiting review item needs is kept until it is decided, what a held request needs until all is settled, what
    a golden case needs while it is in use.
    """
    cursor = await conn.execute(
        """
        DELETE FROM evidence WHERE evidence_id IN (
            SELECT evidence_id FROM evidence WHERE expires_at < now() AND NOT EXISTS (
                SELECT FROM review_items
                WHERE state <> 'decided' AND (
                    prompt = evidence_id OR negative_prompt = evidence_id OR image = evidence_id OR mask = evidence_id
                )
            ) AND NOT EXISTS (
                SELECT FROM reports JOIN review_items USING (item_id)
                WHERE reports.statement = evidence_id AND outcome IS NULL AND state <> 'decided'
            ) AND NOT EXISTS (
                SELECT FROM appeals WHERE appeals.statement = evidence_id AND appeals.state = 'open'
            ) AND NOT EXISTS (
                SELECT FROM held_requests JOIN review_items USING (decision_id)
                WHERE held_requests.evidence @> ARRAY[evidence_id] AND settled_at IS NULL
            ) AND NOT EXISTS (
                SELECT FROM golden_cases JOIN review_items USING (item_id)
                WHERE retired_at IS NULL AND evidence_id IN (prompt, negative_prompt, image, mask)
            ) LIMIT %s FOR UPDATE SKIP LOCKED
        ) RETURNING evidence_id
        """,
        [limit],
    )
    return [row[0] for row in await cursor.fetchall()]


async def keep(conn: Connection, ids: Sequence[UUID]) -> bool:
    """Whether all of `ids` have a row still; none of them is forgotten until the transaction ends."""
    cursor = await conn.execute("SELECT evidence_id FROM evidence WHERE evidence_id = ANY(%s) FOR SHARE", [list(ids)])
    return {row[0] for row in await cursor.fetchall()} == set(ids)


async def known(conn: Connection, ids: list[UUID]) -> set[UUID]:
    """Those of `ids` that have a row."""
    cursor = await conn.execute("SELECT evidence_id FROM evidence WHERE evidence_id = ANY(%s)", [ids])
    return {row[0] for row in await cursor.fetchall()}
