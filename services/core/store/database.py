"""The way to Postgres: a pool that survives a restart of the server, and the migrations that make the tables."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, LiteralString

import psycopg
from psycopg import AsyncConnection, sql
from psycopg.conninfo import conninfo_to_dict
from psycopg_pool import AsyncConnectionPool, PoolClosed, PoolTimeout, TooManyRequests
from yoyo import read_migrations
from yoyo.backends.core.postgresql import PostgresqlPsycopgBackend
from yoyo.connections import DatabaseURI

from services.core.errors import ConfigurationError, Unavailable
from services.core.store import roles

MIGRATIONS = Path(__file__).parent / "migrations"
MIGRATION_LOCK = 0x706F7274  # "port"
MONTHS_AHEAD = 2

CONNECT_SECONDS = 5
# Longer than the server allows a statement: it says so itself unless it has stopped answering.
TRANSACTION_SECONDS = 30.0
# A statement that takes longer is broken; a transaction that idles longer holds locks that others wait for.
SERVER_LIMITS = "-c statement_timeout=15s -c lock_timeout=5s -c idle_in_transaction_session_timeout=60s"
CONNECTION: dict[str, Any] = {
    "connect_timeout": CONNECT_SECONDS,
    "options": SERVER_LIMITS,
    "application_name": "portcullis",
}

Connection = AsyncConnection[tuple[Any, ...]]


def place_of(dsn: str) -> str:
    """Where a DSN points to, in words fit for a log: host, port and database, never the password.

    Raises ConfigurationError if `dsn` is empty or not a DSN.
    """
    if not dsn:
        raise ConfigurationError(
            "no database: set PORTCULLIS_DSN, or start the house on this machine with `portcullis up`",
            reason="NO_DATABASE",
        )
    try:
        parts = conninfo_to_dict(dsn)
    except psycopg.ProgrammingError as error:
        raise ConfigurationError("PORTCULLIS_DSN is not a Postgres DSN", reason="BAD_DSN") from error
    return f"{parts.get('dbname', 'postgres')} at {parts.get('host', 'localhost')}:{parts.get('port', 5432)}"


class Database:
    """A pool of connections; open it with `Database.open`, close it with `close`."""

    def __init__(self, pool: AsyncConnectionPool[Connection], place: str, dsn: str) -> None:
        self._pool = pool
        self._place = place
        self.lane = Lane(dsn)

    @classmethod
    async def open(cls, dsn: str, max_size: int = 10) -> Database:
        """Connects to a database that `migrate` has prepared, with at most `max_size` connections.

        Raises Unavailable if the server does not answer, ConfigurationError if `dsn` is no DSN.
        """
        place = place_of(dsn)
        pool: AsyncConnectionPool[Connection] = AsyncConnectionPool(
            dsn,
            kwargs=CONNECTION,
            min_size=1,
            max_size=max_size,
            timeout=CONNECT_SECONDS,
            reconnect_timeout=CONNECT_SECONDS,  # the pauses between attempts double; who asks next begins anew
            max_waiting=20 * max_size,
            check=AsyncConnectionPool.check_connection,
            open=False,
        )
        try:
            await pool.open(wait=True, timeout=2 * CONNECT_SECONDS)
        except PoolTimeout as error:
            await pool.close()
            raise _unavailable(place) from error
        return cls(pool, place, dsn)

    @asynccontextmanager
    async def transaction(self, seconds: float | None = None) -> AsyncIterator[Connection]:
        """One transaction of at most `seconds` (30): committed at the end of the block, rolled back by any exception.

        Raises Unavailable if Postgres is not there, goes away meanwhile, is too busy, or falls silent.
        """
        cancelled = _times_cancelled()
        try:
            async with asyncio.timeout(seconds or TRANSACTION_SECONDS) as limit, self._pool.connection() as conn:
                # The pool waits with `asyncio.wait_for`: before Python 3.12 that may swallow a cancellation (gh-86296).
                if _times_cancelled() > cancelled:
                    raise asyncio.CancelledError
                yield conn
        except TimeoutError as error:
            if not limit.expired():
                raise
            raise _unavailable(self._place) from error
        except (psycopg.OperationalError, PoolTimeout, TooManyRequests, PoolClosed) as error:
            raise _unavailable(self._place) from error

    async def ping(self) -> None:
        """Raises Unavailable unless Postgres answers."""
        async with self.transaction() as conn:
            await conn.execute("SELECT 1")

    async def close(self) -> None:
        """Closes all connections."""
        await self.lane.close()
        await self._pool.close()


class Lane:
    """One connection apart from the pool, whose every statement is a transaction that nobody waits for on the disk.

    For short statements about what a crash may undo. Opened at the first one, and again when it was lost.
    """

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._conn: Connection | None = None

    async def fetch(self, query: LiteralString, parameters: Mapping[str, object]) -> list[tuple[Any, ...]]:
        """The rows of one statement, sent once more where the connection turns out to be lost.

        Raises Unavailable if Postgres is not there or falls silent.
        """
        try:
            async with asyncio.timeout(TRANSACTION_SECONDS):
                try:
                    return await self._fetch(query, parameters)
                except psycopg.OperationalError:
                    await self.close()
                    return await self._fetch(query, parameters)
        except (psycopg.OperationalError, TimeoutError) as error:
            await self.close()
            raise _unavailable(place_of(self._dsn)) from error

    async def close(self) -> None:
        """Closes the connection, if there is one."""
        conn, self._conn = self._conn, None
        if conn is not None:
            await conn.close()

    async def _fetch(self, query: LiteralString, parameters: Mapping[str, object]) -> list[tuple[Any, ...]]:
        if self._conn is None:
            options = {**CONNECTION, "options": f"{SERVER_LIMITS} -c synchronous_commit=off"}
            self._conn = await AsyncConnection.connect(self._dsn, autocommit=True, prepare_threshold=1, **options)
        cursor = await self._conn.execute(query, parameters)
        return await cursor.fetchall()


@asynccontextmanager
async def single_transaction(dsn: str) -> AsyncIterator[Connection]:
    """One transaction on a connection of its own, for processes too short-lived for a pool; raises as the pool's."""
    place = place_of(dsn)
    try:
        async with await AsyncConnection.connect(dsn, **CONNECTION) as conn:
            yield conn
    except psycopg.OperationalError as error:
        raise _unavailable(place) from error


async def listen(dsn: str, channel: str) -> AsyncIterator[None]:
    """Yields once at the start and then for each notification on `channel`; raises Unavailable when Postgres goes away.

    The connection is its own: a query on one that waits for notifications would hang.
    """
    try:
        async with await AsyncConnection.connect(dsn, autocommit=True, **CONNECTION) as conn:
            await conn.execute(sql.SQL("LISTEN {}").format(sql.Identifier(channel)))
            yield
            async for _ in conn.notifies():
                yield
    except psycopg.OperationalError as error:
        raise _unavailable(place_of(dsn)) from error


def migrate(dsn: str) -> list[str]:
    """Brings the schema up to date and returns the ids of the migrations that it applied; blocking.

    Several processes may call it at once: one works, the others wait. Raises Unavailable if Postgres is not there.
    """
    place = place_of(dsn)
    try:
        with psycopg.connect(dsn, autocommit=True, connect_timeout=CONNECT_SECONDS) as lock:
            lock.execute("SELECT pg_advisory_lock(%s)", [MIGRATION_LOCK])
            applied = _apply(dsn)
            lock.execute("SELECT create_decision_partitions(%s)", [MONTHS_AHEAD])
            lock.execute(
                "SELECT create_image_hash_partition(extract(year FROM now())::integer + n) FROM generate_series(0, 1) n"
            )
            roles.grant(lock)
    except psycopg.OperationalError as error:
        raise _unavailable(place) from error
    return applied


def _apply(dsn: str) -> list[str]:
    parts = {key: str(value) for key, value in conninfo_to_dict(dsn).items()}
    database = parts.pop("dbname", "postgres")
    with PostgresqlPsycopgBackend(
        DatabaseURI("postgresql+psycopg", None, None, None, None, database, parts), "_yoyo_migration"
    ) as backend:
        if "yoyo_lock" not in backend.list_tables():
            backend.init_database()
        backend.break_lock()  # a row that a killed process left behind; the caller's lock is the true one
        pending = backend.to_apply(read_migrations(str(MIGRATIONS)))
        backend.apply_migrations(pending)
        return [migration.id for migration in pending]


def _times_cancelled() -> int:
    task = asyncio.current_task()
    assert task is not None
    return task.cancelling()


def _unavailable(place: str) -> Unavailable:
    return Unavailable(f"Postgres does not answer ({place})", reason="DATABASE_UNAVAILABLE")
