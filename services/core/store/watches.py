"""Watches: what is remembered of an account, a model or a tenant to tell the unusual; one row each."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from psycopg.types.json import Jsonb

from services.core.store.database import Connection


@dataclass(frozen=True, slots=True, order=True)
class Watch:
    """What is watched. Of a model `tenant` is empty, of a tenant `subject` is."""

    kind: Literal["account", "model", "tenant"]
    tenant: str
    subject: str


async def lock(conn: Connection, watches: Collection[Watch]) -> dict[Watch, dict[str, Any]]:
    """The state of each, empty where nothing was seen yet; nobody else changes them before the transaction ends.

    All take them in one order, so that two gateways wait for one another and never both.
    """
    cursor = await conn.execute(
        "INSERT INTO watches AS watch (kind, tenant, subject)"
        " SELECT * FROM unnest(%s::text[], %s::text[], %s::text[]) AS w (kind, tenant, subject)"
        ' ORDER BY kind, tenant COLLATE "C", subject COLLATE "C"'
        " ON CONFLICT (kind, tenant, subject) DO UPDATE SET updated_at = now()"
        " RETURNING kind, tenant, subject, state",
        _columns(sorted(watches)),
    )
    return {Watch(kind, tenant, subject): state for kind, tenant, subject, state in await cursor.fetchall()}


async def save(conn: Connection, states: Mapping[Watch, dict[str, Any]]) -> None:
    """Writes states that this transaction has locked."""
    await conn.execute(
        "UPDATE watches SET state = w.state"
        " FROM unnest(%s::text[], %s::text[], %s::text[], %s::jsonb[]) AS w (kind, tenant, subject, state)"
        " WHERE (watches.kind, watches.tenant, watches.subject) = (w.kind, w.tenant, w.subject)",
        [*_columns(states), [Jsonb(state) for state in states.values()]],
    )


async def forget(conn: Connection, days: int) -> int:
    """Deletes what was not seen for `days`, and returns how many."""
    cursor = await conn.execute("DELETE FROM watches WHERE updated_at < now() - make_interval(days => %s)", [days])
    return cursor.rowcount


def _columns(watches: Collection[Watch]) -> list[list[str]]:
    return [[w.kind for w in watches], [w.tenant for w in watches], [w.subject for w in watches]]
