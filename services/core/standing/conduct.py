"""What conduct leads to, written in the caller's transaction under the lock of the account's row."""

from __future__ import annotations

from datetime import datetime
from typing import Literal
from uuid import UUID

from services.core.policy.standing_rules import StandingRules
from services.core.store.database import Connection

Imposed = Literal["warned", "cooling", "held", "suspended", "banned"]


async def impose(
    conn: Connection,
    tenant: str,
    account: str,
    step: Imposed,
    reason: str,
    until: datetime | None,
    *,
    who: str,
    rules: StandingRules,
    now: datetime,
    confirmed: bool = False,
    note: str = "",
) -> bool:
    """Puts an account at a step until a time (UTC), whatever its strikes weigh; returns whether its standing changed.

    `reason` is a code that its platform may see ("anomaly.velocity", "person", a category), `note` is for the desk
    alone. A rule gives an end; it cannot ban, and a person will look at its suspensions. `confirmed` says that a
    person stands behind it: then `until` may be None, for no end. What is milder than what holds already changes
    nothing. Raises InvalidInput for a ban or an open end that is not confirmed.
    """
    raise NotImplementedError


async def restore(
    conn: Connection, tenant: str, account: str, *, who: str, rules: StandingRules, now: datetime, note: str = ""
) -> bool:
    """Ends whatever holds, by a person's word; strikes keep their weight. Returns whether the standing changed."""
    raise NotImplementedError


async def reverse(
    conn: Connection,
    tenant: str,
    decision_id: UUID,
    *,
    who: str,
    why: str,
    rules: StandingRules,
    now: datetime,
    appeal: UUID | None = None,
) -> int:
    """Takes back the strikes of a decision, as if never given, and what came of them; returns how many."""
    raise NotImplementedError
