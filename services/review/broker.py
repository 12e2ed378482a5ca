"""Which broker delivers: pgmq in our own Postgres by default, RabbitMQ or Redis by URL.

Only brokers that hand a message out again after its worker was killed are allowed; kombu's filesystem, memory and
SQLAlchemy transports lose it.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import psycopg
from pgmq.install import install_pgmq_from_sql
from psycopg import sql

from services.core.config import HouseSettings
from services.core.errors import ConfigurationError, Unavailable
from services.core.store.database import CONNECT_SECONDS, place_of
from services.core.store.roles import role_of

AMQP = frozenset({"amqp", "amqps"})
REDIS = frozenset({"redis", "rediss"})
# Who sends gives up on a broker that is silent for so long; the thread that sends could not be ended otherwise.
SILENCE_SECONDS = 5.0
INSTALL_LOCK = 0x70676D71  # "pgmq"


@dataclass(frozen=True, slots=True)
class Broker:
    """What Celery needs to know of a broker."""

    url: str
    options: dict[str, Any]
    queue_type: str = "classic"
    prefetch: int = 1  # messages that a worker takes ahead; 0: as many as one read gives


def choose(url: str, dsn: str, visibility_seconds: int, *, listens: bool) -> Broker:
    """The broker at `url`; where that is empty, pgmq in the database at `dsn`.

    `listens` is for who takes messages: only they set pgmq's trigger, because two who set it at once fail, and only
    they wait on a silent broker without end.
    Raises ConfigurationError for a transport that could lose messages.
    """
    if not url:
        options = {
            "conn_string": dsn,
            "init_extension": False,  # `install_pgmq` has put its SQL there
            "visibility_timeout": visibility_seconds,
            "wait_time_seconds": 0,  # NOTIFY wakes it; a long poll would delay its shutdown
            "use_notify": listens,
            "pool_size": 2,
        }
        # `conn_string` says where it truly is. No prefetch limit: an acknowledgement that fails, as when Postgres is
        # restarted, counts as outstanding for ever on this transport, and under a limit the worker would starve.
        return Broker("pgmq://localhost", options, prefetch=0)
    scheme = urlsplit(url).scheme
    if scheme in AMQP:
        patience = {} if listens else {"read_timeout": SILENCE_SECONDS, "write_timeout": SILENCE_SECONDS}
        return Broker(url, {"confirm_publish": True, **patience}, queue_type="quorum")
    if scheme in REDIS:
        patience = {} if listens else {"socket_timeout": SILENCE_SECONDS, "socket_connect_timeout": SILENCE_SECONDS}
        # By default kombu looks for them at every tenth interval: a killed worker's messages would wait for 100 s.
        options = {"visibility_timeout": visibility_seconds, "unacked_restore_throttle": 1, **patience}
        return Broker(url, options)
    raise ConfigurationError(
        f"PORTCULLIS_BROKER_URL: {scheme or 'this'} is no broker that keeps messages; leave it empty for pgmq, or use "
        "amqp, amqps, redis or rediss",
        reason="BAD_BROKER",
    )


def install_pgmq(dsn: str) -> None:
    """Puts pgmq's SQL into the database unless it is there, and gives it to the role of the review room; blocking.

    Several processes may call it at once. Raises Unavailable if Postgres is not there.
    """
    try:
        with psycopg.connect(dsn, connect_timeout=CONNECT_SECONDS) as conn:
            conn.execute("SELECT pg_advisory_xact_lock(%s)", [INSTALL_LOCK])
            row = conn.execute("SELECT to_regnamespace('pgmq') IS NULL").fetchone()
            if row == (True,):
                install_pgmq_from_sql(conn=conn)
            _hand_over(conn)
    except psycopg.OperationalError as error:
        raise Unavailable(f"Postgres does not answer ({place_of(dsn)})", reason="DATABASE_UNAVAILABLE") from error


def _hand_over(conn: psycopg.Connection[tuple[object, ...]]) -> None:
    """Lets the review room's role, where there is one, work and make queues in pgmq's schema; old queues become its."""
    role = sql.Identifier(role_of("review"))
    ours = "SELECT FROM pg_namespace WHERE nspname = 'pgmq' AND pg_has_role(nspowner, 'USAGE')"
    there = "SELECT FROM pg_roles WHERE rolname = %s"
    if None in (conn.execute(ours).fetchone(), conn.execute(there, [role_of("review")]).fetchone()):
        return
    conn.execute(sql.SQL("GRANT USAGE, CREATE ON SCHEMA pgmq TO {}").format(role))
    conn.execute(sql.SQL("GRANT ALL ON ALL TABLES IN SCHEMA pgmq TO {}").format(role))
    queues = "SELECT tablename FROM pg_tables WHERE schemaname = 'pgmq' AND tablename ~ '^[aq]_' AND tableowner <> %s"
    for (name,) in conn.execute(queues, [role_of("review")]).fetchall():
        table = sql.Identifier("pgmq", str(name))
        conn.execute(sql.SQL("ALTER TABLE {} OWNER TO {}").format(table, role))


def main() -> None:
    """Installs pgmq as the owner of the database, where the rooms are not; exits with a message where it cannot."""
    try:
        install_pgmq(HouseSettings().database())
    except (ConfigurationError, Unavailable) as error:
        sys.exit(error.message)


if __name__ == "__main__":
    main()
