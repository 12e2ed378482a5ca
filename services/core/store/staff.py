"""The desk's people in Postgres: their roles, their proofs of who they are, invitations. Every change is audited."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from psycopg.rows import class_row

from services.core.errors import AlreadyExists, InvalidInput, NotFound, Unauthenticated
from services.core.staff import NAME, ROLES, Role
from services.core.store import audit
from services.core.store.database import Connection

_READ = (
    "SELECT name, roles, email, subject, password_hash, totp_secret, totp_step, opt_out, disabled_at, created_by,"
    " created_at FROM staff"
)


@dataclass(frozen=True, slots=True)
class Member:
    """A person. `password_hash` (argon2id) and `totp_secret` (encrypted) are None until an invitation was used."""

    name: str
    roles: tuple[Role, ...]
    email: str | None
    subject: str | None
    password_hash: str | None = field(repr=False)
    totp_secret: bytes | None = field(repr=False)
    totp_step: int
    opt_out: tuple[str, ...]
    disabled_at: datetime | None
    created_by: str
    created_at: datetime

    def __post_init__(self) -> None:
        """Turns what Postgres returns into our own types."""
        object.__setattr__(self, "roles", tuple(self.roles))
        object.__setattr__(self, "opt_out", tuple(self.opt_out))


@dataclass(frozen=True, slots=True)
class Invitation:
    """An invitation that can still be used; `totp_secret` (encrypted) is the one proposed to its person."""

    name: str
    totp_secret: bytes | None = field(repr=False)
    expires_at: datetime


def check_roles(roles: Collection[str]) -> list[Role]:
    """`roles` in the house's order, each once; raises InvalidInput for none, or for one that does not exist."""
    if unknown := sorted(set(roles) - set(ROLES)):
        raise InvalidInput("role", f"there is no role {unknown[0]!r}; there are {', '.join(ROLES)}")
    if not roles:
        raise InvalidInput("role", f"one at least of {', '.join(ROLES)}")
    return [role for role in ROLES if role in roles]


async def get(conn: Connection, name: str) -> Member | None:
    """The person of this name, None where there is none."""
    return await _one(conn, "name = %s", name)


async def by_subject(conn: Connection, subject: str) -> Member | None:
    """The person whom an identity provider knows as `subject` ("issuer subject")."""
    return await _one(conn, "subject = %s", subject)


async def by_email(conn: Connection, email: str) -> Member | None:
    """The person of this address (any case) whom no identity provider has been bound to yet."""
    return await _one(conn, "subject IS NULL AND email = lower(%s)", email)


async def everybody(conn: Connection) -> list[Member]:
    """All people, by name."""
    async with conn.cursor(row_factory=class_row(Member)) as cursor:
        await cursor.execute(f"{_READ} ORDER BY name")
        return await cursor.fetchall()


async def add(conn: Connection, name: str, roles: Collection[str], email: str | None, who: str) -> None:
    """Adds a person; raises InvalidInput for a bad name or role, AlreadyExists where name or email are taken."""
    if not NAME.fullmatch(name):
        raise InvalidInput("name", "1 to 63 characters of a-z, 0-9, '.', '_' and '-', beginning with a letter or digit")
    cursor = await conn.execute(
        "INSERT INTO staff (name, roles, email, created_by) VALUES (%s, %s, lower(%s), %s) ON CONFLICT DO NOTHING",
        [name, check_roles(roles), email, who],
    )
    if cursor.rowcount == 0:
        raise AlreadyExists(f"there is somebody called {name}, or of that email, already", reason="STAFF_EXISTS")
    await audit.append(conn, who, "staff.add", name, roles=check_roles(roles))


async def set_roles(conn: Connection, name: str, roles: Collection[str], who: str) -> None:
    """Gives a person exactly these roles and ends their sessions; raises InvalidInput, NotFound."""
    before = await _locked(conn, name)
    await conn.execute("UPDATE staff SET roles = %s WHERE name = %s", [check_roles(roles), name])
    await _end_sessions(conn, name)
    await audit.append(conn, who, "staff.roles", name, before=list(before.roles), after=check_roles(roles))


async def disable(conn: Connection, name: str, who: str) -> None:
    """Shuts a person out at once: no login, no session, no invitation; raises NotFound."""
    await _locked(conn, name)
    await conn.execute("UPDATE staff SET disabled_at = now() WHERE name = %s AND disabled_at IS NULL", [name])
    await _end_sessions(conn, name)
    await _end_invitations(conn, name)
    await audit.append(conn, who, "staff.disable", name)


async def reset(conn: Connection, name: str, who: str) -> None:
    """Takes a person's password, second factor and sessions away and lets them in again; raises NotFound.

    They need a new invitation afterwards.
    """
    await _locked(conn, name)
    await conn.execute(
        "UPDATE staff SET password_hash = NULL, totp_secret = NULL, totp_step = 0, subject = NULL, disabled_at = NULL"
        " WHERE name = %s",
        [name],
    )
    await conn.execute("DELETE FROM staff_recovery_codes WHERE name = %s", [name])
    await _end_sessions(conn, name)
    await _end_invitations(conn, name)
    await audit.append(conn, who, "staff.reset", name)


async def invite(conn: Connection, name: str, seconds: float, who: str) -> str:
    """Makes the one token by which a person sets password and second factor, valid for `seconds`; earlier ones end."""
    member = await _locked(conn, name)
    if member.disabled_at is not None:
        raise InvalidInput("name", f"{name} is disabled; reset lets them in again")
    await _end_invitations(conn, name)
    token = secrets.token_urlsafe(32)
    await conn.execute(
        "INSERT INTO staff_invitations (token_sha256, name, created_by, expires_at)"
        " VALUES (%s, %s, %s, now() + make_interval(secs => %s))",
        [_sha256(token), name, who, seconds],
    )
    await audit.append(conn, who, "staff.invite", name)
    return token


async def invitation(conn: Connection, token: str) -> Invitation | None:
    """The invitation of this token, locked; None where there is none that can still be used."""
    async with conn.cursor(row_factory=class_row(Invitation)) as cursor:
        await cursor.execute(
            "SELECT i.name, i.totp_secret, i.expires_at FROM staff_invitations i JOIN staff USING (name)"
            " WHERE token_sha256 = %s AND used_at IS NULL AND expires_at > now() AND disabled_at IS NULL FOR UPDATE",
            [_sha256(token)],
        )
        return await cursor.fetchone()


async def propose_secret(conn: Connection, token: str, sealed: bytes) -> None:
    """Keeps the second factor's encrypted secret that the bearer of an invitation is shown."""
    await conn.execute(
        "UPDATE staff_invitations SET totp_secret = %s WHERE token_sha256 = %s", [sealed, _sha256(token)]
    )


async def accept(
    conn: Connection, token: str, password_hash: str, totp_secret: bytes, totp_step: int, codes: Sequence[str]
) -> str:
    """Uses up an invitation and returns its person's name; `codes` are their recovery codes, kept as sha256.

    Raises Unauthenticated where the invitation cannot be used (any more).
    """
    found = await invitation(conn, token)
    if found is None:
        raise Unauthenticated("this invitation was used, replaced, or is too old; ask for another")
    await conn.execute("UPDATE staff_invitations SET used_at = now() WHERE token_sha256 = %s", [_sha256(token)])
    await conn.execute(
        "UPDATE staff SET password_hash = %s, totp_secret = %s, totp_step = %s WHERE name = %s",
        [password_hash, totp_secret, totp_step, found.name],
    )
    await conn.execute("DELETE FROM staff_recovery_codes WHERE name = %s", [found.name])
    await conn.cursor().executemany(
        "INSERT INTO staff_recovery_codes (name, code_sha256) VALUES (%s, %s)",
        [(found.name, _sha256(code)) for code in codes],
    )
    await _end_sessions(conn, found.name)
    await audit.append(conn, f"analyst/{found.name}", "staff.join", found.name)
    return found.name


async def use_step(conn: Connection, name: str, step: int) -> bool:
    """Uses up a time step of a person's second factor; False where it, or a later one, was used before."""
    cursor = await conn.execute(
        "UPDATE staff SET totp_step = %s WHERE name = %s AND totp_step < %s", [step, name, step]
    )
    return cursor.rowcount == 1


async def use_recovery_code(conn: Connection, name: str, code: str) -> bool:
    """Uses up a recovery code; False where it is none of theirs, or was used before."""
    cursor = await conn.execute(
        "UPDATE staff_recovery_codes SET used_at = now() WHERE name = %s AND code_sha256 = %s AND used_at IS NULL",
        [name, _sha256(code)],
    )
    if cursor.rowcount == 1:
        await audit.append(conn, f"analyst/{name}", "staff.recovery_code", name)
    return cursor.rowcount == 1


async def bind_subject(conn: Connection, name: str, subject: str) -> None:
    """Ties a person to an identity provider's account from now on."""
    await conn.execute("UPDATE staff SET subject = %s WHERE name = %s AND subject IS NULL", [subject, name])
    await audit.append(conn, f"analyst/{name}", "staff.bind", name)


async def set_opt_out(conn: Connection, name: str, categories: Collection[str]) -> None:
    """The categories that a person is not given from now on."""
    await conn.execute("UPDATE staff SET opt_out = %s WHERE name = %s", [sorted(categories), name])
    await audit.append(conn, f"analyst/{name}", "staff.opt_out", name, categories=sorted(categories))


async def _one(conn: Connection, where: str, value: str) -> Member | None:
    async with conn.cursor(row_factory=class_row(Member)) as cursor:
        return await (await cursor.execute(f"{_READ} WHERE {where}", [value])).fetchone()


async def _locked(conn: Connection, name: str) -> Member:
    member = await _one(conn, "name = %s FOR UPDATE", name)
    if member is None:
        raise NotFound(f"there is nobody called {name}", reason="STAFF_UNKNOWN")
    return member


async def _end_sessions(conn: Connection, name: str) -> None:
    await conn.execute("UPDATE staff_sessions SET ended_at = now() WHERE name = %s AND ended_at IS NULL", [name])


async def _end_invitations(conn: Connection, name: str) -> None:
    await conn.execute("UPDATE staff_invitations SET used_at = now() WHERE name = %s AND used_at IS NULL", [name])


def _sha256(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
