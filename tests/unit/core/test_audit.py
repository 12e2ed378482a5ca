"""The trail of what people did: one chain, in which nothing can be changed unseen."""

from __future__ import annotations

import asyncio

import psycopg
import pytest

from services.core.store import audit
from services.core.store.audit import Head
from services.core.store.database import Database

EVENTS = 5


@pytest.fixture
async def trail(db: Database) -> Database:
    for number in range(EVENTS):
        async with db.transaction() as conn:
            await audit.append(conn, "ada", "account.tier", f"acme/user-{number}", share=1e20, tiny=1e-7, word="ü")
    return db


async def flaws(db: Database, known: Head | None = None) -> list[int]:
    async with db.transaction() as conn:
        return [flaw.seq async for flaw in audit.verify(conn, known)]


async def tamper(db: Database, *statements: str) -> None:
    """What only the owner of the table can do: the triggers are off meanwhile."""
    async with db.transaction() as conn:
        await conn.execute("ALTER TABLE audit_events DISABLE TRIGGER USER")
        for statement in statements:
            await conn.execute(statement)
        await conn.execute("ALTER TABLE audit_events ENABLE TRIGGER USER")


async def test_an_honest_trail_adds_up(trail: Database) -> None:
    assert await flaws(trail) == []


async def test_those_who_write_at_once_do_not_break_it(db: Database) -> None:
    async def write(number: int) -> None:
        async with db.transaction() as conn:
            await audit.append(conn, f"person-{number}", "account.tier", "acme/user-1")

    await asyncio.gather(*(write(number) for number in range(20)))

    assert await flaws(db) == []


async def test_what_was_rolled_back_leaves_no_gap(trail: Database) -> None:
    async def fail_after_writing() -> None:
        async with trail.transaction() as conn:
            await audit.append(conn, "ada", "account.tier", "acme/user-1")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await fail_after_writing()

    async with trail.transaction() as conn:
        await audit.append(conn, "ada", "account.tier", "acme/user-1")

    assert await flaws(trail) == []


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_events SET actor = 'eve' WHERE seq = 3",
        "UPDATE audit_events SET subject = 'acme/user-9' WHERE seq = 3",
        "UPDATE audit_events SET at = at - interval '1 microsecond' WHERE seq = 3",
        "UPDATE audit_events SET detail = '{}' WHERE seq = 3",
        "UPDATE audit_events SET seq = NULL, hash = NULL, prev_hash = NULL WHERE seq = 3",
        "DELETE FROM audit_events WHERE seq = 3",
        "DELETE FROM audit_events WHERE seq = 5",
        "DELETE FROM audit_events",
        "INSERT INTO audit_events (actor, action, subject, detail) VALUES ('eve', 'account.tier', 'acme/x', '{}')",
    ],
)
async def test_tampering_with_one_row_is_found(trail: Database, statement: str) -> None:
    await tamper(trail, statement)

    assert await flaws(trail)


async def test_a_chain_that_was_rewritten_whole_is_found_by_a_head_kept_elsewhere(trail: Database) -> None:
    async with trail.transaction() as conn:
        kept = await audit.head(conn)
    await tamper(trail, "DELETE FROM audit_events", "UPDATE audit_chain SET events = 0, head = sha256('')")
    await tamper(trail, "UPDATE audit_chain SET head = decode(repeat('00', 32), 'hex')")
    for number in range(EVENTS):
        async with trail.transaction() as conn:
            await audit.append(conn, "eve", "account.tier", f"acme/user-{number}")

    assert await flaws(trail) == []
    assert await flaws(trail, kept) == [EVENTS]


async def test_a_head_kept_elsewhere_misses_what_was_cut_off(trail: Database) -> None:
    async with trail.transaction() as conn:
        kept = await audit.head(conn)
    last = "UPDATE audit_chain SET events = 4, head = (SELECT hash FROM audit_events WHERE seq = 4)"
    await tamper(trail, "DELETE FROM audit_events WHERE seq = 5", last)

    assert await flaws(trail) == []
    assert await flaws(trail, kept) == [4]


async def test_the_trail_is_append_only(trail: Database) -> None:
    with pytest.raises(psycopg.IntegrityError, match="append-only"):
        async with trail.transaction() as conn:
            await conn.execute("UPDATE audit_events SET actor = 'eve'")
