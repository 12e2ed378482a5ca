"""Cases: near-duplicates of one prompt or picture that wait together behind the item that leads them.

An item's sketch is bits of which near-duplicates share most (`Check.sketch`). To find one that is near, sketches are
cut into pieces of 16 bits: two that differ in fewer bits than there are pieces have one in common for certain, and
others mostly. So an index over the pieces of those that wait is all that is asked, whatever their number.
Multi-index hashing: Norouzi, Punjani and Fleet, "Fast Search in Hamming Space with Multi-Index Hashing", 2012.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from uuid import UUID

from psycopg import sql
from psycopg.rows import class_row

from services.core.store.database import Connection
from services.core.store.review_items import COLUMNS, ReviewItem

PIECE_BYTES = 2
# Bits of 384 (texts) and of 256 (pictures, Facebook's own limit for PDQ) in which near-duplicates may differ; what they
# were measured on is in services/review/README.md.
NEAR_BITS = {48: 42, 32: 31}
MOST_OF_PIECE = 40  # candidates that one piece may bring
_MOST_SHOWN = 200


def pieces(item: ReviewItem, queue: str) -> list[int]:
    """What an item is looked up by; empty without a sketch.

    Only items of one tenant, kind, stage and queue, both sealed or both not, can be of one case.
    """
    return cut(item.sketch, f"{item.tenant}/{item.kind}/{item.stage}/{item.sealed}/{queue}")


def cut(sketch: bytes, place: str) -> list[int]:
    """The pieces of a sketch, each hashed to 64 bits with its number and with where it may match."""
    if len(sketch) not in NEAR_BITS:
        return []
    parts = (sketch[at : at + PIECE_BYTES] for at in range(0, len(sketch), PIECE_BYTES))
    named = (b"%d/%d/" % (len(sketch), at) + part + place.encode() for at, part in enumerate(parts))
    return [int.from_bytes(hashlib.blake2b(name, digest_size=8).digest(), signed=True) for name in named]


def nearest(sketch: bytes, candidates: Sequence[tuple[UUID, bytes]]) -> UUID | None:
    """The candidate whose sketch differs in the fewest bits, None where all differ in more than near-duplicates do."""
    whole = int.from_bytes(sketch)
    apart = [((whole ^ int.from_bytes(other)).bit_count(), item_id) for item_id, other in candidates]
    near = [found for found in apart if found[0] <= NEAR_BITS[len(sketch)]]
    return min(near)[1] if near else None


async def find_leader(conn: Connection, item: ReviewItem, queue: str) -> UUID | None:
    """Who leads the case that an item belongs to in this queue, locked; None where it is the first of its kind.

    Routing of what could be one case is done one after the other, so that of two at once one leads.
    """
    wanted = pieces(item, queue)
    if not wanted:
        return None
    await conn.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"case/{item.tenant}/{queue}"])
    cursor = await conn.execute(
        "SELECT DISTINCT item_id, sketch FROM unnest(%s::bigint[]) AS wanted (piece), LATERAL ("
        " SELECT item_id FROM review_pieces WHERE review_pieces.piece = wanted.piece LIMIT %s"
        ") AS found JOIN review_items USING (item_id)"
        " WHERE state IN ('queued', 'claimed') AND leader IS NULL AND round = 1",
        [wanted, MOST_OF_PIECE],
    )
    leader = nearest(item.sketch, await cursor.fetchall())
    if leader is None:
        return None
    cursor = await conn.execute(
        "SELECT FROM review_items WHERE item_id = %s AND state IN ('queued', 'claimed') AND leader IS NULL"
        " AND round = 1 AND queue = %s FOR UPDATE",
        [leader, queue],
    )
    return leader if await cursor.fetchone() is not None else None


async def lead(conn: Connection, item: ReviewItem, queue: str) -> None:
    """Lets near-duplicates that come later find this item, while it waits for its first look."""
    if item.round == 1:
        await conn.execute(
            "INSERT INTO review_pieces SELECT piece, %s FROM unnest(%s::bigint[]) AS own (piece)"
            " ON CONFLICT DO NOTHING",
            [item.item_id, pieces(item, queue)],
        )


async def stop_leading(conn: Connection, items: Collection[UUID]) -> None:
    """Items that no near-duplicate joins any more."""
    await conn.execute("DELETE FROM review_pieces WHERE item_id = ANY(%s)", [list(items)])


async def followers(conn: Connection, leader: UUID) -> list[ReviewItem]:
    """Those that wait behind an item, locked, in the order of their turn."""
    async with conn.cursor(row_factory=class_row(ReviewItem)) as cursor:
        await cursor.execute(
            sql.SQL(
                "SELECT {} FROM review_items WHERE leader = %s AND state = 'queued'"
                " ORDER BY turn_at, item_id FOR UPDATE"
            ).format(COLUMNS),
            [leader],
        )
        return await cursor.fetchall()


async def regroup(conn: Connection, items: Sequence[ReviewItem]) -> None:
    """Makes waiting items a case of their own that the first one leads."""
    if not items:
        return
    head, *rest = items
    await conn.execute("UPDATE review_items SET leader = NULL WHERE item_id = %s", [head.item_id])
    await conn.execute(
        "UPDATE review_items SET leader = %s WHERE item_id = ANY(%s)", [head.item_id, [item.item_id for item in rest]]
    )
    await lead(conn, head, head.queue)


async def others(conn: Connection, item: ReviewItem) -> list[ReviewItem]:
    """The other undecided items of an item's case, its leader first, at most 200."""
    head = item.leader or item.item_id
    async with conn.cursor(row_factory=class_row(ReviewItem)) as cursor:
        await cursor.execute(
            sql.SQL(
                "SELECT {} FROM review_items WHERE (item_id = %(head)s OR leader = %(head)s) AND item_id <> %(item)s"
                " AND state <> 'decided' ORDER BY leader IS NOT NULL, turn_at, item_id LIMIT %(most)s"
            ).format(COLUMNS),
            {"head": head, "item": item.item_id, "most": _MOST_SHOWN},
        )
        return await cursor.fetchall()


async def sizes(conn: Connection, items: Collection[ReviewItem]) -> dict[UUID, int]:
    """How many undecided items the case of each undecided item has, itself included; 1 for every other item."""
    heads = {item.item_id: item.leader or item.item_id for item in items if item.state != "decided"}
    cursor = await conn.execute(
        "SELECT wanted.item, (SELECT count(*) FROM review_items WHERE leader = wanted.item AND state <> 'decided')"
        " + (SELECT count(*) FROM review_items WHERE item_id = wanted.item AND state <> 'decided')"
        " FROM unnest(%s::uuid[]) AS wanted (item)",
        [list(set(heads.values()))],
    )
    counted: dict[UUID, int] = dict(await cursor.fetchall())
    return {item.item_id: counted[heads[item.item_id]] if item.item_id in heads else 1 for item in items}
