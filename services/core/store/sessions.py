"""The console's sessions and failed logins in Postgres: a session's token is kept as its sha256 alone."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass

from psycopg.rows import class_row

from services.core.staff import Analyst, Role
from services.core.store.database import Connection

# A session's clock is written this seldom, so that reading a page writes nothing as a rule.
SEEN_EVERY_SECONDS = 30
FORGET_ATTEMPTS_AFTER = "1 hour"


@dataclass(frozen=True, slots=True)
class _Row:
    name: str
    roles: list[Role]
    stale: bool


@dataclass(frozen=True, slots=True)
class Lifetime:
    """How long a session lasts, in seconds: without a request, and at all."""

    idle_seconds: float
    whole_seconds: float


async def begin(conn: Connection, name: str) -> str:
    """Begins a session and returns its token, which is shown only here."""
    token = secrets.token_urlsafe(32)
    await conn.execute("INSERT INTO staff_sessions (token_sha256, name) VALUES (%s, %s)", [_sha256(token), name])
    return token


async def resume(conn: Connection, token: str, lifetime: Lifetime, *, seen: bool = True) -> Analyst | None:
    """Whose session this is, with the roles that they have now; None where it ended, or they were shut out.

    Without `seen` its clock runs on: a browser asked by itself.
    """
    async with conn.cursor(row_factory=class_row(_Row)) as cursor:
        await cursor.execute(
            "SELECT name, roles, seen_at < now() - make_interval(secs => %s) AS stale"
            " FROM staff_sessions JOIN staff USING (name)"
            " WHERE token_sha256 = %s AND ended_at IS NULL AND disabled_at IS NULL"
            " AND seen_at > now() - make_interval(secs => %s)"
            " AND staff_sessions.created_at > now() - make_interval(secs => %s)",
            [SEEN_EVERY_SECONDS, _sha256(token), lifetime.idle_seconds, lifetime.whole_seconds],
        )
        row = await cursor.fetchone()
    if row is None:
        return None
    if seen and row.stale:
        await conn.execute("UPDATE staff_sessions SET seen_at = now() WHERE token_sha256 = %s", [_sha256(token)])
    return Analyst(row.name, frozenset(row.roles))


async def end(conn: Connection, token: str) -> None:
    """Ends a session; one that has ended, or never was, is no error."""
    await conn.execute(
        "UPDATE staff_sessions SET ended_at = now() WHERE token_sha256 = %s AND ended_at IS NULL", [_sha256(token)]
    )


async def count_attempt(conn: Connection, who: str, free: int, longest_seconds: float) -> float:
    """Counts an attempt at a login before it is looked at; returns the seconds to wait, 0 where it may be tried.

    After `free` failures in a row each doubles the wait, from one second up to `longest_seconds`. An attempt while
    one must wait is not counted. Commit it at once: it must stay, whatever becomes of the login.
    """
    await conn.execute(
        "INSERT INTO login_attempts (who, failures) VALUES (%s, 0) ON CONFLICT DO NOTHING",
        [who],
    )
    cursor = await conn.execute(
        "UPDATE login_attempts SET last_at = now(), failures = spent + 1, blocked_until = clock_timestamp() + CASE"
        " WHEN spent + 1 < %(free)s THEN interval '0'"
        " ELSE make_interval(secs => least(%(longest)s, power(2, least(spent + 1 - %(free)s, 30)))) END"
        " FROM (SELECT who AS them, CASE WHEN last_at < now() - %(forget)s::interval THEN 0 ELSE failures END AS spent"
        " FROM login_attempts WHERE who = %(who)s FOR UPDATE) AS before"
        " WHERE who = them AND blocked_until <= clock_timestamp()",
        {"who": who, "free": free, "longest": longest_seconds, "forget": FORGET_ATTEMPTS_AFTER},
    )
    if cursor.rowcount:
        return 0.0
    row = await (
        await conn.execute(
            "SELECT extract(epoch FROM blocked_until - now())::float8 FROM login_attempts WHERE who = %s", [who]
        )
    ).fetchone()
    return max(1.0, row[0]) if row is not None else 1.0


async def forgive(conn: Connection, who: str) -> None:
    """Forgets the failures of somebody who came in."""
    await conn.execute("DELETE FROM login_attempts WHERE who = %s", [who])


async def uncount(conn: Connection, who: str) -> None:
    """Takes one attempt back, since it succeeded; the failures of others at the same address stay."""
    await conn.execute("UPDATE login_attempts SET failures = greatest(failures - 1, 0) WHERE who = %s", [who])


async def sweep(conn: Connection, lifetime: Lifetime) -> None:
    """Deletes sessions and attempts that have no meaning any more."""
    await conn.execute(
        "DELETE FROM staff_sessions WHERE created_at < now() - make_interval(secs => %s)", [lifetime.whole_seconds]
    )
    await conn.execute(
        "DELETE FROM login_attempts WHERE last_at < now() - %s::interval AND blocked_until < now()",
        [FORGET_ATTEMPTS_AFTER],
    )


def _sha256(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
