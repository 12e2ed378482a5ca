from __future__ import annotations

from collections.abc import Awaitable, Callable
from uuid import UUID

import psycopg
import pytest

from services.core.staff import Analyst
from services.core.store import claims, review_events
from services.core.store.database import Database
from services.core.store.review_events import Flaw

OpenCase = Callable[..., Awaitable[UUID]]
ALICE = Analyst("alice", frozenset({"analyst"}))


@pytest.fixture
async def case(house: Database, open_case: OpenCase) -> UUID:
    """A decided case, with an untouched one before and after it."""
    await open_case()
    item_id = await open_case()
    await open_case()
    async with house.transaction() as conn:
        claim = await claims.claim(conn, item_id, ALICE, 60)
        await claims.decide(conn, item_id, ALICE, claim.token, "uphold", "clear", 0)
    return item_id


async def flaws(db: Database) -> list[Flaw]:
    async with db.transaction() as conn:
        return [flaw async for flaw in review_events.verify(conn)]


async def tamper(db: Database, statement: str, item_id: UUID) -> None:
    """What only the owner of the table can do: the triggers are off meanwhile."""
    async with db.transaction() as conn:
        await conn.execute("ALTER TABLE review_events DISABLE TRIGGER USER")
        await conn.execute(statement, [item_id])
        await conn.execute("ALTER TABLE review_events ENABLE TRIGGER USER")


async def test_an_honest_trail_adds_up(house: Database, case: UUID) -> None:
    assert await flaws(house) == []


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE review_events SET actor = 'analyst/bob' WHERE item_id = %s AND seq = 4",
        'UPDATE review_events SET detail = detail || \'{"comment": "fine"}\' WHERE item_id = %s AND seq = 4',
        "UPDATE review_events SET at = at - interval '1 hour' WHERE item_id = %s AND seq = 3",
        "UPDATE review_events SET hash = sha256('x') WHERE item_id = %s AND seq = 2",
        "DELETE FROM review_events WHERE item_id = %s AND seq = 3",
        "DELETE FROM review_events WHERE item_id = %s AND seq = 4",
        "DELETE FROM review_events WHERE item_id = %s",
    ],
    ids=["actor", "detail", "time", "hash", "cut from the middle", "cut from the end", "all cut"],
)
async def test_tampering_with_one_row_is_found(house: Database, case: UUID, statement: str) -> None:
    await tamper(house, statement, case)

    assert {flaw.item_id for flaw in await flaws(house)} == {case}


@pytest.mark.parametrize(
    "statement", ["UPDATE review_events SET actor = 'x'", "DELETE FROM review_events", "TRUNCATE review_events"]
)
async def test_the_trail_is_append_only(house: Database, case: UUID, statement: str) -> None:
    with pytest.raises(psycopg.IntegrityError, match="append-only"):
        async with house.transaction() as conn:
            await conn.execute(statement)
