"""Webhooks: where platforms want to be told, and each delivery from its first attempt to its end. Never content.

A delivery is on its way once its endpoint is leased; a lease that ends without a word (a killed notifier) lets the same
delivery be sent again, under the same id. One delivery an endpoint at a time, so that a slow one holds up itself alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Literal
from uuid import UUID, uuid4

from psycopg import sql
from psycopg.rows import class_row

from services.core.errors import NotFound
from services.core.store.database import Connection

DeliveryState = Literal["pending", "delivered", "parked"]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A platform's address for events whose type begins with one of `types`; `failing_since` None while all is well."""

    endpoint_id: UUID
    tenant: str
    url: str
    types: tuple[str, ...]
    created_by: str
    created_at: datetime
    enabled: bool
    failing_since: datetime | None

    def __post_init__(self) -> None:
        """Turns what Postgres returns into our own types."""
        object.__setattr__(self, "types", tuple(self.types))

    def wants(self, what: str) -> bool:
        """Whether it is to be told of events of this type."""
        return self.enabled and what.startswith(self.types)


@dataclass(frozen=True, slots=True)
class NewDelivery:
    """One event for one endpoint, as the very text that is sent; `event_id` None for a test."""

    endpoint_id: UUID
    event_id: int | None
    type: str
    body: str


@dataclass(frozen=True, slots=True)
class Attempt:
    """One delivery to be tried now for the `attempt`-th time. `old_secret` signs too, None where none does."""

    delivery_id: UUID
    endpoint_id: UUID
    url: str
    secret: bytes
    old_secret: bytes | None
    body: str
    attempt: int


@dataclass(frozen=True, slots=True)
class Delivery:
    """A delivery as it stands. `status` is what became of the last attempt, `due_at` when the next may be made."""

    delivery_id: UUID
    endpoint_id: UUID
    tenant: str
    event_id: int | None
    type: str
    created_at: datetime
    state: DeliveryState
    due_at: datetime
    attempt: int
    status: str


@dataclass(frozen=True, slots=True)
class Figures:
    """Endpoints in use and those of them that fail, deliveries that wait or are parked, age of the oldest waiting."""

    endpoints: int
    failing: int
    pending: int
    parked: int
    oldest_seconds: float


COLUMNS = sql.SQL(", ").join(sql.Identifier(column.name) for column in fields(Endpoint))


async def add(
    conn: Connection, endpoint_id: UUID, tenant: str, url: str, types: Sequence[str], secret: bytes, who: str
) -> None:
    """Adds an endpoint with its encrypted secret; raises NotFound for an unknown tenant."""
    cursor = await conn.execute(
        "INSERT INTO webhook_endpoints (endpoint_id, tenant, url, types, secret, created_by)"
        " SELECT %s, tenant, %s, %s, %s, %s FROM tenants WHERE tenant = %s",
        [endpoint_id, url, list(types), secret, who, tenant],
    )
    if cursor.rowcount == 0:
        raise NotFound(f"there is no tenant {tenant}", reason="TENANT_UNKNOWN")


async def endpoints(conn: Connection, tenant: str | None = None) -> list[Endpoint]:
    """All endpoints (of one tenant), oldest first."""
    async with conn.cursor(row_factory=class_row(Endpoint)) as cursor:
        await cursor.execute(
            sql.SQL(
                "SELECT {} FROM webhook_endpoints WHERE %(tenant)s::text IS NULL OR tenant = %(tenant)s"
                " ORDER BY created_at, endpoint_id"
            ).format(COLUMNS),
            {"tenant": tenant},
        )
        return await cursor.fetchall()


async def get(conn: Connection, endpoint_id: UUID) -> Endpoint:
    """One endpoint, locked until the transaction ends; raises NotFound."""
    async with conn.cursor(row_factory=class_row(Endpoint)) as cursor:
        await cursor.execute(
            sql.SQL("SELECT {} FROM webhook_endpoints WHERE endpoint_id = %s FOR UPDATE").format(COLUMNS), [endpoint_id]
        )
        endpoint = await cursor.fetchone()
    if endpoint is None:
        raise NotFound("there is no such endpoint", reason="ENDPOINT_UNKNOWN")
    return endpoint


async def remove(conn: Connection, endpoint_id: UUID) -> None:
    """Deletes an endpoint with all its deliveries."""
    await conn.execute("DELETE FROM webhook_endpoints WHERE endpoint_id = %s", [endpoint_id])


async def rotate(conn: Connection, endpoint_id: UUID, secret: bytes, hours: float) -> None:
    """Gives an endpoint a new secret; the one before signs beside it for `hours`."""
    await conn.execute(
        "UPDATE webhook_endpoints SET old_secret = secret, old_secret_until = now() + make_interval(secs => %s),"
        " secret = %s WHERE endpoint_id = %s",
        [hours * 3600, secret, endpoint_id],
    )


async def queue(conn: Connection, deliveries: Sequence[NewDelivery]) -> list[UUID]:
    """Writes deliveries, due at once, and returns their ids; an event that its endpoint has already stays as it is."""
    ids = [uuid4() for _ in deliveries]
    await conn.cursor().executemany(
        "INSERT INTO webhook_deliveries (delivery_id, endpoint_id, event_id, type, body) VALUES (%s, %s, %s, %s, %s)"
        " ON CONFLICT (endpoint_id, event_id) DO NOTHING",
        [(own, new.endpoint_id, new.event_id, new.type, new.body) for own, new in zip(ids, deliveries, strict=True)],
    )
    return ids


async def claim(conn: Connection, limit: int, lease_seconds: float) -> list[Attempt]:
    """The oldest due delivery of up to `limit` endpoints that neither work nor rest; each is leased for a while."""
    async with conn.cursor(row_factory=class_row(Attempt)) as cursor:
        await cursor.execute(
            """
            WITH idle AS (
                SELECT endpoint_id FROM webhook_endpoints AS e
                WHERE enabled AND rests_until <= now() AND EXISTS (
                    SELECT 1 FROM webhook_deliveries AS d
                    WHERE d.endpoint_id = e.endpoint_id AND d.state = 'pending' AND d.due_at <= now()
                )
                ORDER BY rests_until LIMIT %(limit)s FOR UPDATE SKIP LOCKED
            ), leased AS (
                UPDATE webhook_endpoints AS e SET rests_until = now() + make_interval(secs => %(lease)s)
                FROM idle WHERE e.endpoint_id = idle.endpoint_id
                RETURNING e.endpoint_id, e.url, e.secret,
                    CASE WHEN e.old_secret_until > now() THEN e.old_secret END AS old_secret
            ), chosen AS (
                SELECT leased.*, first.delivery_id AS chosen_id FROM leased CROSS JOIN LATERAL (
                    SELECT delivery_id FROM webhook_deliveries AS d
                    WHERE d.endpoint_id = leased.endpoint_id AND d.state = 'pending' AND d.due_at <= now()
                    ORDER BY d.due_at, d.event_id LIMIT 1
                ) AS first
            )
            UPDATE webhook_deliveries AS d
            SET attempt = attempt + 1, tried_since = coalesce(tried_since, now()), moved_at = now()
            FROM chosen WHERE d.delivery_id = chosen.chosen_id
            RETURNING d.delivery_id, d.endpoint_id, chosen.url, chosen.secret, chosen.old_secret, d.body, d.attempt
            """,
            {"limit": limit, "lease": lease_seconds},
        )
        return await cursor.fetchall()


async def delivered(conn: Connection, attempt: Attempt, status: str) -> None:
    """Ends a delivery that was taken; its endpoint is free at once, and well."""
    await conn.execute(
        "UPDATE webhook_deliveries SET state = 'delivered', status = %s, moved_at = now() WHERE delivery_id = %s",
        [status, attempt.delivery_id],
    )
    await conn.execute(
        "UPDATE webhook_endpoints SET rests_until = now(), failures = 0, failing_since = NULL WHERE endpoint_id = %s",
        [attempt.endpoint_id],
    )


async def failed(
    conn: Connection, attempt: Attempt, status: str, *, wait_seconds: float, rest_seconds: float, give_up_seconds: float
) -> int:
    """Sends a delivery to wait `wait_seconds` and its endpoint to rest, longer with each failure in a row.

    A delivery that was tried for `give_up_seconds` is parked, and with it all that have waited as long at an endpoint
    that took nothing in all that time. Returns how many were parked. A word that comes late, after another attempt
    began, changes nothing.
    """
    cursor = await conn.execute(
        "UPDATE webhook_deliveries SET status = %(status)s, moved_at = now(),"
        " due_at = now() + make_interval(secs => %(wait)s),"
        " state = CASE WHEN tried_since <= now() - make_interval(secs => %(end)s) THEN 'parked' ELSE 'pending' END"
        " WHERE delivery_id = %(id)s AND state = 'pending' AND attempt = %(attempt)s RETURNING state",
        {
            "status": status,
            "wait": wait_seconds,
            "end": give_up_seconds,
            "id": attempt.delivery_id,
            "attempt": attempt.attempt,
        },
    )
    row = await cursor.fetchone()
    if row is None:
        return 0
    await conn.execute(
        "UPDATE webhook_endpoints SET rests_until = now() + make_interval(secs => %s), failures = failures + 1,"
        " failing_since = coalesce(failing_since, now()) WHERE endpoint_id = %s",
        [rest_seconds, attempt.endpoint_id],
    )
    cursor = await conn.execute(
        "UPDATE webhook_deliveries AS d SET state = 'parked', status = %(status)s, moved_at = now()"
        " FROM webhook_endpoints AS e WHERE e.endpoint_id = d.endpoint_id AND e.endpoint_id = %(id)s"
        " AND e.failing_since <= now() - make_interval(secs => %(end)s)"
        " AND d.state = 'pending' AND d.created_at <= now() - make_interval(secs => %(end)s)",
        {"status": status, "id": attempt.endpoint_id, "end": give_up_seconds},
    )
    return cursor.rowcount + int(row[0] == "parked")


async def switch_off(conn: Connection, attempt: Attempt, status: str) -> int:
    """Stops telling an endpoint that wants nothing more; parks what waits for it, and returns how many."""
    await conn.execute("UPDATE webhook_endpoints SET enabled = false WHERE endpoint_id = %s", [attempt.endpoint_id])
    cursor = await conn.execute(
        "UPDATE webhook_deliveries SET state = 'parked', status = %s, moved_at = now()"
        " WHERE endpoint_id = %s AND state = 'pending'",
        [status, attempt.endpoint_id],
    )
    return cursor.rowcount


async def deliveries(
    conn: Connection, *, tenant: str | None, state: DeliveryState | None, limit: int
) -> list[Delivery]:
    """The latest deliveries (of one tenant, in one state), newest first."""
    async with conn.cursor(row_factory=class_row(Delivery)) as cursor:
        await cursor.execute(
            "SELECT delivery_id, endpoint_id, tenant, event_id, type, d.created_at, state, due_at, attempt, status"
            " FROM webhook_deliveries AS d JOIN webhook_endpoints USING (endpoint_id)"
            " WHERE (%(tenant)s::text IS NULL OR tenant = %(tenant)s)"
            " AND (%(state)s::text IS NULL OR state = %(state)s)"
            " ORDER BY moved_at DESC, event_id DESC LIMIT %(limit)s",
            {"tenant": tenant, "state": state, "limit": limit},
        )
        return await cursor.fetchall()


async def delivery(conn: Connection, delivery_id: UUID) -> Delivery:
    """One delivery; raises NotFound."""
    async with conn.cursor(row_factory=class_row(Delivery)) as cursor:
        await cursor.execute(
            "SELECT delivery_id, endpoint_id, tenant, event_id, type, d.created_at, state, due_at, attempt, status"
            " FROM webhook_deliveries AS d JOIN webhook_endpoints USING (endpoint_id) WHERE delivery_id = %s",
            [delivery_id],
        )
        found = await cursor.fetchone()
    if found is None:
        raise NotFound("there is no such delivery", reason="DELIVERY_UNKNOWN")
    return found


async def resend(conn: Connection, *, delivery_id: UUID | None = None, endpoint_id: UUID | None = None) -> int:
    """Makes one delivery, or all parked ones of an endpoint, due at once under their ids; returns how many.

    The endpoint is used again, whatever it did before.
    """
    cursor = await conn.execute(
        "UPDATE webhook_deliveries SET state = 'pending', due_at = now(), created_at = now(), tried_since = NULL,"
        " attempt = 0, moved_at = now()"
        " WHERE delivery_id = %(delivery)s AND state <> 'pending' OR endpoint_id = %(endpoint)s AND state = 'parked'"
        " RETURNING endpoint_id",
        {"delivery": delivery_id, "endpoint": endpoint_id},
    )
    touched = [row[0] for row in await cursor.fetchall()]
    await wake(conn, touched)
    return len(touched)


async def wake(conn: Connection, endpoint_ids: Sequence[UUID]) -> None:
    """Lets endpoints be tried at once, whatever they did before."""
    await conn.execute(
        "UPDATE webhook_endpoints SET enabled = true, failures = 0, failing_since = NULL,"
        " rests_until = least(rests_until, now()) WHERE endpoint_id = ANY(%s)",
        [list(endpoint_ids)],
    )


async def forget_delivered(conn: Connection, days: float, limit: int) -> int:
    """Deletes up to `limit` deliveries that ended well more than `days` ago; what is parked stays."""
    cursor = await conn.execute(
        "DELETE FROM webhook_deliveries WHERE delivery_id IN (SELECT delivery_id FROM webhook_deliveries"
        " WHERE state = 'delivered' AND moved_at < now() - make_interval(secs => %s) LIMIT %s)",
        [days * 86_400, limit],
    )
    return cursor.rowcount


async def figures(conn: Connection) -> Figures:
    """How things stand, over all tenants."""
    async with conn.cursor(row_factory=class_row(Figures)) as cursor:
        await cursor.execute(
            "SELECT (SELECT count(*) FROM webhook_endpoints WHERE enabled) AS endpoints,"
            " (SELECT count(*) FROM webhook_endpoints WHERE enabled AND failing_since IS NOT NULL) AS failing,"
            " count(*) FILTER (WHERE state = 'pending') AS pending,"
            " count(*) FILTER (WHERE state = 'parked') AS parked,"
            " coalesce(extract(epoch FROM now() - min(created_at) FILTER (WHERE state = 'pending')), 0)::float8"
            " AS oldest_seconds FROM webhook_deliveries WHERE state IN ('pending', 'parked')"
        )
        found = await cursor.fetchone()
    assert found is not None, "an aggregate has one row"
    return found
