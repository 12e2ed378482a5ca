from __future__ import annotations

import asyncio
import contextlib
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from services.core.errors import ConfigurationError, Unavailable
from services.core.store.database import MIGRATIONS, Database, migrate, place_of


def test_a_second_migration_finds_nothing_to_do(database: str) -> None:
    assert migrate(database) == []


def test_services_that_start_together_migrate_once(database: str) -> None:
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute("DROP SCHEMA public CASCADE")
        conn.execute("CREATE SCHEMA public")

    with ThreadPoolExecutor() as threads:
        applied = list(threads.map(migrate, [database] * 4))

    assert sorted(map(len, applied)) == [0, 0, 0, len(list(MIGRATIONS.glob("*.sql")))]


def test_an_unreachable_server_is_unavailable_and_named() -> None:
    with pytest.raises(Unavailable, match=r"portcullis at 127\.0\.0\.1:9"):
        migrate("postgresql://someone:hush@127.0.0.1:9/portcullis")


async def test_opening_an_unreachable_server_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.core.store.database.CONNECT_SECONDS", 0.2)
    with pytest.raises(Unavailable):
        await Database.open("postgresql://127.0.0.1:9/portcullis")


def test_a_password_stays_out_of_words() -> None:
    assert "hush" not in place_of("postgresql://someone:hush@db.example/portcullis")


@pytest.mark.parametrize("dsn", ["", "what is this"])
def test_a_bad_dsn_says_how_to_mend_it(dsn: str) -> None:
    with pytest.raises(ConfigurationError, match="PORTCULLIS_DSN"):
        place_of(dsn)


async def test_a_transaction_is_rolled_back_by_an_error(db: Database) -> None:
    with contextlib.suppress(ValueError):
        async with db.transaction() as conn:
            await conn.execute("INSERT INTO tenants (tenant) VALUES ('acme')")
            raise ValueError

    async with db.transaction() as conn:
        rows = await (await conn.execute("SELECT * FROM tenants")).fetchall()
    assert rows == []


async def test_the_pool_outlives_its_connections(db: Database, database: str) -> None:
    await db.ping()
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'portcullis'")

    await db.ping()


async def test_a_connection_lost_in_a_transaction_is_unavailable(db: Database, database: str) -> None:
    async def lose_the_connection() -> None:
        async with db.transaction() as conn:
            with psycopg.connect(database, autocommit=True) as other:
                other.execute("SELECT pg_terminate_backend(%s)", [conn.info.backend_pid])
            await conn.execute("SELECT 1")

    with pytest.raises(Unavailable):
        await lose_the_connection()


async def test_a_server_that_falls_silent_is_unavailable(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.core.store.database.TRANSACTION_SECONDS", 0.2)
    with pytest.raises(Unavailable):
        async with db.transaction() as conn:
            await conn.execute("SELECT pg_sleep(10)")


async def test_a_timeout_of_the_work_itself_stays_one(db: Database) -> None:
    with pytest.raises(TimeoutError):
        async with db.transaction():
            raise TimeoutError


@pytest.mark.parametrize("turns", range(6))
async def test_who_is_cancelled_as_its_turn_comes_is_cancelled(database: str, turns: int) -> None:
    pool = await Database.open(database, max_size=1)

    async def work() -> None:
        async with pool.transaction():
            pass
        await asyncio.sleep(60)

    async with pool.transaction():
        waiting = asyncio.create_task(work())
        await asyncio.sleep(0.05)  # it stands in line for the only connection
    for _ in range(turns):
        await asyncio.sleep(0)
    waiting.cancel()
    done, _ = await asyncio.wait([waiting], timeout=5)

    assert done
    await pool.ping()  # and has given back what it was handed
    await pool.close()
