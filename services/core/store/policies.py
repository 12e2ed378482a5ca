"""Policies in Postgres: immutable documents, and the append-only record of which was in force from when."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from threading import Lock

from psycopg.rows import class_row

from services.core.errors import NotFound, Unavailable
from services.core.policy.document import Policy, PolicyError, load_policy
from services.core.store.database import Connection

# Serialises first activations, so that two services starting at once record one.
_LOCK = "SELECT pg_advisory_xact_lock(hashtext('policy_activations'))"
_COMPILING = Lock()


@dataclass(frozen=True, slots=True)
class Activation:
    """The policy in force: its id and YAML text, who activated it, and when (UTC)."""

    policy_id: str
    source: str
    activated_by: str
    activated_at: datetime


@dataclass(frozen=True, slots=True)
class PastActivation:
    """One entry of the record of activations, without the text; `activation_id` grows."""

    activation_id: int
    policy_id: str
    name: str
    activated_by: str
    activated_at: datetime


async def past(connection: Connection, limit: int, before: int | None = None) -> list[PastActivation]:
    """The last `limit` activations, newest first, of ids below `before`."""
    async with connection.cursor(row_factory=class_row(PastActivation)) as cursor:
        await cursor.execute(
            "SELECT activation_id, policy_id, name, activated_by, activated_at FROM policy_activations JOIN policies"
            " USING (policy_id) WHERE %(before)s::bigint IS NULL OR activation_id < %(before)s"
            " ORDER BY activation_id DESC LIMIT %(limit)s",
            {"before": before, "limit": limit},
        )
        return await cursor.fetchall()


async def text_of(connection: Connection, policy_id: str) -> str:
    """The YAML text of a stored policy; NotFound where none has this id."""
    row = await (await connection.execute("SELECT source FROM policies WHERE policy_id = %s", [policy_id])).fetchone()
    if row is None:
        raise NotFound(f"policy {policy_id} is not stored", reason="POLICY_UNKNOWN")
    return str(row[0])


async def put(connection: Connection, policy: Policy, who: str) -> None:
    """Stores a policy under its id; one that is there already stays as it is."""
    await connection.execute(
        "INSERT INTO policies (policy_id, name, source, created_by) VALUES (%s, %s, %s, %s) ON CONFLICT DO NOTHING",
        (policy.id, policy.document.name, policy.text, who),
    )


async def activate(connection: Connection, policy_id: str, who: str, when: datetime) -> None:
    """Puts a stored policy in force from the end of the transaction on; NotFound where it is not stored."""
    cursor = await connection.execute(
        "INSERT INTO policy_activations (policy_id, activated_by, activated_at)"
        " SELECT policy_id, %s, %s FROM policies WHERE policy_id = %s",
        (who, when, policy_id),
    )
    if cursor.rowcount != 1:
        raise NotFound(f"policy {policy_id} is not stored", reason="POLICY_UNKNOWN")


async def active(connection: Connection) -> Activation | None:
    """The policy in force: the latest activation; None before the first."""
    async with connection.cursor(row_factory=class_row(Activation)) as cursor:
        await cursor.execute(
            "SELECT policy_id, source, activated_by, activated_at FROM policy_activations JOIN policies"
            " USING (policy_id) ORDER BY activation_id DESC LIMIT 1"
        )
        return await cursor.fetchone()


async def load_active(connection: Connection) -> Policy:
    """The policy in force, compiled; raises Unavailable where there is none or it is not accepted (any more)."""
    activation = await active(connection)
    if activation is None:
        raise Unavailable("no policy is in force", reason="NO_POLICY")
    try:
        return await compiled(activation)
    except PolicyError as error:
        raise Unavailable(f"the policy in force is not valid: {error}", reason="POLICY_INVALID") from error


async def compiled(activation: Activation) -> Policy:
    """An activation's policy, compiled the first time that this process asks for it; raises PolicyError.

    It takes a quarter of a second of a processor: time that other calls do not wait for.
    """
    return await asyncio.to_thread(_compiled_once, activation.policy_id, activation.source)


def _compiled_once(policy_id: str, source: str) -> Policy:
    with _COMPILING:  # who asks meanwhile waits for the same result
        return _compiled(policy_id, source)


@lru_cache(maxsize=4)
def _compiled(policy_id: str, source: str) -> Policy:
    return load_policy(source, policy_id)


async def ensure_default(connection: Connection, yaml_text: str, who: str) -> Activation:
    """Activates `yaml_text` if no policy was ever activated; returns what is in force. Needs a transaction."""
    await connection.execute(_LOCK)
    current = await active(connection)
    if current is not None:
        return current
    policy = load_policy(yaml_text, "default policy")
    activation = Activation(policy.id, policy.text, who, datetime.now(UTC))
    await put(connection, policy, who)
    await activate(connection, policy.id, who, activation.activated_at)
    return activation
