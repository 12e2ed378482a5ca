"""Comments on items: append-only, each with its author and time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from psycopg.rows import class_row

from services.core.staff import Analyst
from services.core.store import review_events
from services.core.store.database import Connection


@dataclass(frozen=True, slots=True)
class Comment:
    """What an analyst wrote, 1 … 2,000 characters, and when (UTC)."""

    author: str
    text: str
    created_at: datetime


async def add(conn: Connection, item_id: UUID, analyst: Analyst, text: str) -> Comment:
    """Adds a comment to an item, and to its chain of events that there is one."""
    async with conn.cursor(row_factory=class_row(Comment)) as cursor:
        await cursor.execute(
            "INSERT INTO review_comments (item_id, author, text) VALUES (%s, %s, %s)"
            " RETURNING author, text, created_at",
            [item_id, analyst.identity, text],
        )
        comment = await cursor.fetchone()
    assert comment is not None, "INSERT … RETURNING has a row"
    await review_events.append(conn, item_id, "commented", analyst.identity)
    return comment


async def of_item(conn: Connection, item_id: UUID, reader: Analyst) -> list[Comment]:
    """The comments that a reader may see, oldest first.

    While an item is undecided, what those wrote who have judged it is for themselves, leads and auditors: whoever
    looks next must not know what they thought.
    """
    sees_all = reader.may("team") or reader.may("audit")
    async with conn.cursor(row_factory=class_row(Comment)) as cursor:
        await cursor.execute(
            "SELECT author, text, review_comments.created_at FROM review_comments JOIN review_items USING (item_id)"
            " WHERE item_id = %s AND (state = 'decided' OR author = %s OR %s OR author NOT IN"
            " (SELECT analyst FROM review_rounds WHERE review_rounds.item_id = review_comments.item_id))"
            " ORDER BY comment_id",
            [item_id, reader.identity, sees_all],
        )
        return await cursor.fetchall()
