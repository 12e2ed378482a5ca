"""Tenants (platforms) and their API keys. A key is shown once; the table holds the sha256 of its secret."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass
from datetime import datetime

from psycopg.rows import class_row

from services.core.errors import InvalidInput, NotFound
from services.core.store.database import Connection

NAME = re.compile(r"[a-z0-9-]{1,64}")
KEY = re.compile(r"pk_([0-9a-f]{16})_([A-Za-z0-9_-]{43})")


@dataclass(frozen=True, slots=True)
class Tenant:
    """A platform that showed a good key."""

    tenant: str
    key_id: str


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key as it can be told: its id, never its secret; `revoked_at` is None while it opens."""

    key_id: str
    created_at: datetime
    revoked_at: datetime | None


async def create_tenant(conn: Connection, tenant: str) -> None:
    """Adds a tenant unless it exists; raises InvalidInput for a name outside [a-z0-9-]{1,64}."""
    if not NAME.fullmatch(tenant):
        raise InvalidInput("tenant", "1 to 64 characters of a-z, 0-9 and - are allowed")
    await conn.execute("INSERT INTO tenants (tenant) VALUES (%s) ON CONFLICT DO NOTHING", [tenant])


async def create_api_key(conn: Connection, tenant: str) -> str:
    """Makes a key of 256 random bits and returns it in plain, "pk_<id>_<secret>"; it cannot be read again.

    Raises NotFound where there is no such tenant.
    """
    key_id, secret = secrets.token_hex(8), secrets.token_urlsafe(32)
    made = await conn.execute(
        "INSERT INTO api_keys (key_id, tenant, secret_sha256) SELECT %s, tenant, %s FROM tenants WHERE tenant = %s",
        [key_id, _sha256(secret), tenant],
    )
    if not made.rowcount:
        raise NotFound(f"there is no tenant {tenant}", reason="TENANT_UNKNOWN")
    return f"pk_{key_id}_{secret}"


async def revoke_api_key(conn: Connection, key_id: str) -> None:
    """Ends a key at once; raises NotFound where there is none such that still opens."""
    ended = await conn.execute(
        "UPDATE api_keys SET revoked_at = now() WHERE key_id = %s AND revoked_at IS NULL", [key_id]
    )
    if not ended.rowcount:
        raise NotFound(f"there is no key {key_id} that still opens", reason="KEY_UNKNOWN")


async def list_tenants(conn: Connection) -> list[tuple[str, datetime, int]]:
    """Every tenant by name: since when, and how many keys open for it."""
    cursor = await conn.execute(
        "SELECT tenant, t.created_at, count(key_id) FILTER (WHERE revoked_at IS NULL)"
        " FROM tenants t LEFT JOIN api_keys USING (tenant) GROUP BY tenant ORDER BY tenant"
    )
    return await cursor.fetchall()


async def list_keys(conn: Connection, tenant: str) -> list[ApiKey]:
    """The keys of a tenant, newest first."""
    async with conn.cursor(row_factory=class_row(ApiKey)) as cursor:
        await cursor.execute(
            "SELECT key_id, created_at, revoked_at FROM api_keys WHERE tenant = %s ORDER BY created_at DESC", [tenant]
        )
        return await cursor.fetchall()


async def authenticate(conn: Connection, key: str) -> Tenant | None:
    """The tenant that `key` belongs to, None where it is malformed, unknown, wrong or revoked."""
    parts = KEY.fullmatch(key)
    if parts is None:
        return None
    key_id, secret = parts.groups()
    cursor = await conn.execute(
        "SELECT tenant, secret_sha256 FROM api_keys WHERE key_id = %s AND revoked_at IS NULL", [key_id]
    )
    row = await cursor.fetchone()
    if row is None or not hmac.compare_digest(row[1], _sha256(secret)):
        return None
    return Tenant(row[0], key_id)


def _sha256(secret: str) -> bytes:
    # The secret is random and long: a slow password hash would add nothing.
    return hashlib.sha256(secret.encode()).digest()
