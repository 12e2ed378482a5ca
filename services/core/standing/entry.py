"""What a standing means at the door."""

from __future__ import annotations

from datetime import UTC, datetime

from services.core.errors import FailedPrecondition
from services.core.policy.standing_rules import StandingRules
from services.core.standing import conduct
from services.core.store import accounts
from services.core.store.accounts import Account
from services.core.store.database import Connection

_APPEAL = "AppealDecision without a decision_id"


async def enter(conn: Connection, tenant: str, account: str, rules: StandingRules, now: datetime) -> Account:
    """The account that asks, made as new where it is not known, with the standing that holds now.

    Raises FailedPrecondition where its standing lets nothing in, NotFound where there is no such tenant.
    """
    known = await accounts.get_or_create(conn, tenant, account)
    if known.ended(now):
        known = await conduct.renew(conn, tenant, account, rules, now)
    refuse(known, now)
    return known


def refuse(known: Account, now: datetime) -> None:
    """Raises FailedPrecondition, with when it ends and how to appeal, for an account that must wait or is shut out."""
    standing, until = known.standing_at(now), known.standing_until
    if standing not in ("cooling", "suspended", "banned"):
        return
    ends = until.astimezone(UTC).isoformat(timespec="minutes") if until else ""
    metadata = {"standing": standing, "appeal": _APPEAL} | ({"until": ends} if ends else {})
    if standing == "cooling":
        raise FailedPrecondition(
            f"this account has to wait until {ends or 'further notice'}",
            reason="ACCOUNT_COOLING",
            retry_after=(until - now).total_seconds() if until else None,
            metadata=metadata,
        )
    raise FailedPrecondition(
        f"this account is {standing}{f' until {ends}' if ends else ''}", reason="ACCOUNT_SUSPENDED", metadata=metadata
    )


def notice(known: Account, rules: StandingRules, now: datetime) -> str:
    """What to tell the user, in the policy's words; empty in good standing."""
    standing = known.standing_at(now)
    return "" if standing == "good" else str(getattr(rules.ladder, standing).notice)
