"""Fixtures that every room's tests share: a real Postgres, and fresh databases in it."""

from __future__ import annotations

import itertools
import os
import socket
from collections.abc import AsyncIterator, Callable, Iterator

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from services.commands.default_policy import DEFAULT_POLICY
from services.core.store import embedded, policies, tenants
from services.core.store.database import Database, migrate

os.environ.setdefault("COLUMNS", "200")  # tables on a terminal, as wide as they are
_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def postgres_dsn(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The DSN of one migrated database on a server for this run; copied by `database`, so leave it as it is."""
    with embedded.running(tmp_path_factory.mktemp("pg"), {"fsync": "off", "full_page_writes": "off"}) as server:
        migrate(server.dsn)
        yield server.dsn


@pytest.fixture(scope="session")
def new_database(postgres_dsn: str) -> Callable[[], str]:
    """Makes a fresh, migrated, empty database and gives its DSN."""

    def make() -> str:
        name = f"test{next(_numbers)}"
        with psycopg.connect(make_conninfo(postgres_dsn, dbname="postgres"), autocommit=True) as conn:
            conn.execute(
                sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY file_copy").format(
                    sql.Identifier(name), sql.Identifier(embedded.DATABASE)
                )
            )
        return make_conninfo(postgres_dsn, dbname=name)

    return make


@pytest.fixture
def database(new_database: Callable[[], str]) -> str:
    """The DSN of a fresh, migrated, empty database."""
    return new_database()


@pytest.fixture
async def db(database: str) -> AsyncIterator[Database]:
    """An open pool on a fresh database."""
    pool = await Database.open(database)
    yield pool
    await pool.close()


@pytest.fixture
async def governed(db: Database) -> Database:
    """A fresh database with the tenant "acme" and the default policy in force."""
    async with db.transaction() as conn:
        await tenants.create_tenant(conn, "acme")
        await policies.ensure_default(conn, DEFAULT_POLICY.read_text(encoding="utf-8"), "test")
    return db


@pytest.fixture(scope="session")
def new_port_base() -> Callable[[], int]:
    """Gives the first of ten free ports for a house, below those that the system hands to clients meanwhile."""
    # Side by side: each process of a run takes places of its own.
    count = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    own = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    places = itertools.count(os.getppid() * count + own, count)

    def take() -> int:
        bases = (20_000 + place % 1_200 * 10 for place in places)
        return next(base for base in bases if all(map(_is_free, range(base, base + 10))))

    return take


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
