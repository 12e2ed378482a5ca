"""From the schema of the last release to the newest: as a new house has it, rows kept, fit for the code of before."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, LiteralString

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from services.core.store import audit, decisions, images, review_items, tenants
from services.core.store.database import Database, migrate
from services.core.verdicts import Verdict
from tests import releases

VERSION = releases.newest()


def _released(postgres_dsn: str, name: str) -> str:
    """A database as the last release left it."""
    with psycopg.connect(make_conninfo(postgres_dsn, dbname="postgres"), autocommit=True) as conn:
        conn.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(name)))
    dsn = make_conninfo(postgres_dsn, dbname=name)
    releases.restore(dsn, releases.dump_of(VERSION))
    return dsn


@pytest.fixture(scope="module")
def upgraded(postgres_dsn: str) -> str:
    """The database of the last release, brought up to date."""
    dsn = _released(postgres_dsn, "upgraded")
    migrate(dsn)
    return dsn


@pytest.fixture(scope="module")
def released(postgres_dsn: str) -> Iterator[psycopg.Connection[Any]]:
    """The database of the last release, on which nothing is committed."""
    with psycopg.connect(_released(postgres_dsn, "released")) as conn:
        yield conn


@pytest.fixture
def before(released: psycopg.Connection[Any]) -> Iterator[releases.Tables]:
    """Its tables; what a test makes of them is undone."""
    yield releases.tables(released)
    released.rollback()


def test_an_upgraded_schema_is_that_of_a_new_house(upgraded: str, database: str) -> None:
    assert releases.schema(upgraded) == releases.schema(database)


def test_the_code_of_the_last_release_can_go_on_while_the_new_one_is_rolled_out(
    before: releases.Tables, upgraded: str
) -> None:
    with psycopg.connect(upgraded) as conn:
        assert list(releases.breaks(before, releases.tables(conn))) == []


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("ALTER TABLE outbox DROP COLUMN topic", "outbox.topic is gone"),
        ("ALTER TABLE outbox RENAME TO post", "outbox is gone"),
        ("ALTER TABLE outbox ALTER times TYPE bigint", "outbox.times was integer and is bigint"),
        ("ALTER TABLE requests ALTER answer SET NOT NULL", "requests.answer must be named now"),
        ("ALTER TABLE reporters ADD note text NOT NULL", "reporters.note is new and must be named"),
    ],
)
def test_a_change_that_the_code_of_the_last_release_cannot_bear_is_told(
    released: psycopg.Connection[Any], before: releases.Tables, change: LiteralString, told: str
) -> None:
    released.execute(change)

    assert list(releases.breaks(before, releases.tables(released))) == [told]


@pytest.mark.parametrize(
    "change",
    [
        "ALTER TABLE reporters ADD note text",
        "ALTER TABLE reporters ADD note text NOT NULL DEFAULT ''",
        "CREATE TABLE post (id bigint NOT NULL)",
        "ALTER TABLE requests ALTER content_digest DROP NOT NULL",
    ],
)
def test_a_change_that_adds_is_borne(
    released: psycopg.Connection[Any], before: releases.Tables, change: LiteralString
) -> None:
    released.execute(change)

    assert list(releases.breaks(before, releases.tables(released))) == []


async def test_what_was_recorded_before_is_read_afterwards(upgraded: str) -> None:
    db = await Database.open(upgraded)
    async with db.transaction() as conn:
        decision = await decisions.get(conn, releases.TENANT, releases.DECISION)
        item = await review_items.get(conn, releases.ITEM)
        picture = await images.by_sha256(conn, releases.FILE_SHA256)
        alike = await images.nearest(conn, [bytes(31) + b"\x0f"], 8)
        known = [row[0] for row in await tenants.list_tenants(conn)]
        trail = await audit.head(conn)
    async with db.transaction() as conn:
        flaws = [flaw async for flaw in audit.verify(conn)]
    await db.close()

    assert decision is not None
    assert decision.verdict is Verdict.REVIEW
    assert item is not None
    assert item.decision_id == releases.DECISION
    assert picture is not None
    assert picture.image_id == releases.PICTURE
    assert alike == picture
    assert known == [releases.TENANT]
    assert (trail.events, flaws) == (1, [])
