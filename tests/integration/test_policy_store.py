"""Policies in a real Postgres, and the policy in force as a running service sees it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import psycopg
import pytest
from typer.testing import CliRunner

from services.commands.policy import app
from services.core.errors import ConfigurationError, NotFound, Unavailable
from services.core.policy import source
from services.core.policy.document import Policy, load_policy
from services.core.policy.source import ActivePolicy
from services.core.store import policies
from services.core.store.database import Connection, Database

TEXT = "name: {}\ndefaults: {{review: 0.5, block: {}}}\n"
FIRST = load_policy(TEXT.format("first", 0.8), "first")
SECOND = load_policy(TEXT.format("second", 0.9), "second")
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


async def activate(db: Database, policy: Policy, who: str = "ada") -> None:
    async with db.transaction() as connection:
        await policies.put(connection, policy, who)
        await policies.activate(connection, policy.id, who, NOW)


@asynccontextmanager
async def kept_fresh(policy: ActivePolicy) -> AsyncIterator[None]:
    task = asyncio.create_task(policy.keep_fresh())
    yield
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def until(policy: ActivePolicy, expected: str) -> None:
    for _ in range(500):
        if policy.current.id == expected:
            return
        await asyncio.sleep(0.02)
    pytest.fail("the service did not follow")


async def test_the_last_activation_is_in_force(db: Database) -> None:
    for policy in (FIRST, SECOND, FIRST):
        await activate(db, policy)
    async with db.transaction() as connection:
        activation = await policies.active(connection)
    assert activation == policies.Activation(FIRST.id, FIRST.text, "ada", NOW)


async def test_what_a_service_follows_it_need_not_compile_again(db: Database) -> None:
    await activate(db, FIRST)
    followed = await ActivePolicy.load(db, 60)
    async with db.transaction() as connection:
        assert await policies.load_active(connection) is followed.current


async def test_a_policy_that_is_not_stored_cannot_be_activated(db: Database) -> None:
    with pytest.raises(NotFound):
        async with db.transaction() as connection:
            await policies.activate(connection, "0" * 64, "ada", NOW)


@pytest.mark.parametrize(
    "statement", ["UPDATE policies SET name = 'x'", "DELETE FROM policy_activations", "TRUNCATE policies CASCADE"]
)
async def test_what_was_in_force_cannot_be_changed_afterwards(db: Database, statement: str) -> None:
    await activate(db, FIRST)
    with pytest.raises(psycopg.errors.IntegrityError, match="append-only"):
        async with db.transaction() as connection:
            await connection.execute(statement)


async def test_the_default_is_activated_once_however_many_ask(db: Database) -> None:
    async def ensure(text: str) -> str:
        async with db.transaction() as connection:
            return (await policies.ensure_default(connection, text, "house")).policy_id

    ids = await asyncio.gather(*(ensure(policy.text) for policy in (FIRST, SECOND, FIRST, SECOND)))
    assert len(set(ids)) == 1
    async with db.transaction() as connection:
        assert (await (await connection.execute("SELECT count(*) FROM policy_activations")).fetchone()) == (1,)


async def test_a_service_does_not_start_without_a_policy(db: Database) -> None:
    with pytest.raises(ConfigurationError, match="policy activate"):
        await ActivePolicy.load(db, 60)


async def test_a_service_follows_the_next_activation(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "REFRESH_SECONDS", 0.02)
    await activate(db, FIRST)
    policy = await ActivePolicy.load(db, 60)
    assert policy.current.id == FIRST.id
    async with kept_fresh(policy):
        await activate(db, SECOND)
        await until(policy, SECOND.id)


async def test_a_policy_that_does_not_load_leaves_the_last_good_one(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source, "REFRESH_SECONDS", 0.02)
    await activate(db, FIRST)
    policy = await ActivePolicy.load(db, 1.0)

    async def spoil(connection: Connection) -> None:
        await connection.execute("INSERT INTO policies VALUES (repeat('a', 64), 'bad', 'name: [', 'eve', now())")
        await policies.activate(connection, "a" * 64, "eve", NOW)

    async with kept_fresh(policy):
        async with db.transaction() as connection:
            await spoil(connection)
        await asyncio.sleep(0.3)
        assert policy.current.id == FIRST.id
        await asyncio.sleep(1.0)
        with pytest.raises(Unavailable, match="last confirmed"):
            _ = policy.current


async def test_without_postgres_the_last_good_one_holds_until_it_is_stale(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source, "REFRESH_SECONDS", 0.02)
    db = await Database.open(database)
    await activate(db, FIRST)
    policy = await ActivePolicy.load(db, 0.5)
    async with kept_fresh(policy):
        await asyncio.sleep(0.1)
        await policy.ready()
        await db.close()
        assert policy.current.id == FIRST.id
        await asyncio.sleep(0.7)
        with pytest.raises(Unavailable, match="last confirmed"):
            await policy.ready()


async def test_the_command_puts_a_policy_in_force_and_shows_it(
    database: str, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PORTCULLIS_DSN", database)
    path = tmp_path_factory.mktemp("policy") / "mine.yaml"
    path.write_text(TEXT.format("mine", 0.85))
    runner = CliRunner()
    done = await asyncio.to_thread(runner.invoke, app, ["activate", str(path), "--by", "ada"])
    assert done.exit_code == 0, done.output
    shown = await asyncio.to_thread(runner.invoke, app, ["show"])
    assert "by ada" in shown.output
    assert load_policy(path.read_text(), "mine").id in shown.output
    assert "0.5 / 0.85" in shown.output
