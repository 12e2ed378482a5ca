"""The outbox: what must be told to the broker, written in the transaction that made it true."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from psycopg.rows import class_row

from services.core.store.database import Connection

CHANNEL = "outbox"
ROUTE_ITEM = "review.route_item"
SETTLE_ITEM = "review.settle_item"
WITHDRAW_IMAGE = "review.withdraw_image"
LONGEST_WAIT_SECONDS = 3600


@dataclass(frozen=True, slots=True)
class Message:
    """One thing to tell: the task's name and the id that it is about."""

    id: int
    topic: str
    subject: UUID


async def add(conn: Connection, topic: str, subjects: Sequence[UUID], delay_seconds: float = 0) -> None:
    """Writes one message for each subject, due after `delay_seconds`; the commit wakes listeners of `CHANNEL`."""
    await conn.cursor().executemany(
        "INSERT INTO outbox (topic, subject, due_at) VALUES (%s, %s, now() + make_interval(secs => %s))",
        [(topic, subject, delay_seconds) for subject in subjects],
    )


async def claim(conn: Connection, limit: int) -> list[Message]:
    """Up to `limit` unpublished messages that are due, oldest first, locked until the transaction ends."""
    async with conn.cursor(row_factory=class_row(Message)) as cursor:
        await cursor.execute(
            "SELECT id, topic, subject FROM outbox WHERE published_at IS NULL AND due_at <= now()"
            " ORDER BY due_at, id LIMIT %s"
            " FOR UPDATE SKIP LOCKED",
            [limit],
        )
        return await cursor.fetchall()


async def mark_published(conn: Connection, messages: Sequence[Message]) -> None:
    """Records that the broker has taken them; call it in the transaction of `claim`."""
    await conn.execute(
        "UPDATE outbox SET published_at = now(), times = times + 1 WHERE id = ANY(%s)",
        [[message.id for message in messages]],
    )


async def waits(conn: Connection, topic: str, subject: UUID) -> bool:
    """Whether a message of this kind is there still: one that is deleted when it is done, unlike those of items."""
    cursor = await conn.execute("SELECT FROM outbox WHERE topic = %s AND subject = %s LIMIT 1", [topic, subject])
    return await cursor.fetchone() is not None


async def done(conn: Connection, topic: str, subject: UUID) -> None:
    """Deletes the messages of this kind about `subject`."""
    await conn.execute("DELETE FROM outbox WHERE topic = %s AND subject = %s", [topic, subject])


async def revive_stalled(conn: Connection, seconds: float) -> int:
    """Unpublishes messages of items that have not moved `seconds` after their message left, and returns how many.

    Also those of pictures that wait to be withdrawn, which are deleted when it is done. Whatever the broker lost is
    thereby told again; doing a task twice changes nothing. Each time the wait doubles, up to an hour, so that a long
    outage of the workers does not fill the broker.
    """
    cursor = await conn.execute(
        "UPDATE outbox SET published_at = NULL FROM review_items"
        " WHERE outbox.subject = review_items.item_id AND (outbox.topic = %s AND review_items.state = 'pending'"
        " OR outbox.topic = %s AND review_items.state = 'decided' AND review_items.settled_at IS NULL)"
        " AND outbox.published_at < now() - make_interval(secs => least(%s * 2.0 ^ (times - 1), %s))",
        [ROUTE_ITEM, SETTLE_ITEM, seconds, LONGEST_WAIT_SECONDS],
    )
    undone = await conn.execute(
        "UPDATE outbox SET published_at = NULL WHERE topic = %s"
        " AND published_at < now() - make_interval(secs => least(%s * 2.0 ^ (times - 1), %s))",
        [WITHDRAW_IMAGE, seconds, LONGEST_WAIT_SECONDS],
    )
    return cursor.rowcount + undone.rowcount


async def forget_published(conn: Connection, seconds: float) -> int:
    """Deletes messages published longer than `seconds` ago whose item has moved, and returns how many."""
    cursor = await conn.execute(
        "DELETE FROM outbox USING review_items"
        " WHERE outbox.subject = review_items.item_id AND review_items.state <> 'pending'"
        " AND (review_items.state <> 'decided' OR review_items.settled_at IS NOT NULL)"
        " AND outbox.published_at < now() - make_interval(secs => %s)",
        [seconds],
    )
    return cursor.rowcount
