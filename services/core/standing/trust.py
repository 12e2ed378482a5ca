"""Tiers: a new account becomes a trusted one by its conduct, and is new again by it. The time is handed in."""

from __future__ import annotations

from datetime import datetime, timedelta

from services.core import telemetry
from services.core.errors import FailedPrecondition
from services.core.policy.standing_rules import StandingRules
from services.core.standing.ladder import Jitter, horizon, score
from services.core.store import accounts, audit, events, strikes, trust, waitlist
from services.core.store.accounts import Account
from services.core.store.database import Connection
from services.core.verdicts import Tier

HOUSE = "portcullis"
# An account that is not trusted yet is looked at again after so long.
AGAIN = timedelta(days=1)


async def promote(conn: Connection, rules: StandingRules, now: datetime, limit: int) -> int:
    """Looks at up to `limit` new accounts whose turn it is, trusts those that earned it; returns how many it looked at.

    It takes days since the first request, allowed requests, few strikes, good standing, and no open case.
    """
    wanted = rules.trust
    found = await trust.candidates(conn, now, now - timedelta(days=wanted.days), now - AGAIN, wanted.allowed, limit)
    for candidate in found:
        history = await strikes.history(conn, candidate.tenant, candidate.account, now - horizon(rules))
        if candidate.earned and score(history, rules, now) < wanted.strikes_below:
            telemetry.STANDING_CHANGES.labels("trusted", wanted.mode).inc()
            if wanted.mode == "enforce":
                known = await accounts.lock(conn, candidate.tenant, candidate.account)
                await give_tier(conn, known, "trusted", HOUSE, "account.promoted")
    return len(found)


async def demote(conn: Connection, known: Account, weight: float, rules: StandingRules, jitter: Jitter) -> None:
    """Makes a trusted account new again once its strikes weigh too much; its row is locked by us."""
    wanted = rules.trust
    if known.tier not in ("trusted", "invited") or weight < wanted.demote_from * jitter.factor(rules.jitter, "weight"):
        return
    telemetry.STANDING_CHANGES.labels("new", wanted.mode).inc()
    if wanted.mode == "enforce":
        await give_tier(conn, known, "new", HOUSE, "account.demoted")


async def invite(conn: Connection, tenant: str, account: str, who: str, why: str = "") -> Tier:
    """Invites an account to the next tier, which is returned, and takes it off the waitlist.

    Raises NotFound for one that is not known, FailedPrecondition where it is not in good standing or has no next tier.
    """
    known = await accounts.lock(conn, tenant, account)
    if known.standing != "good":
        raise FailedPrecondition(f"{account} is not in good standing: {known.standing}", reason="ACCOUNT_STANDING")
    tier = waitlist.NEXT.get(known.tier)
    if tier is None:
        raise FailedPrecondition(f"{account} is of tier {known.tier}: there is none next to it", reason="LAST_TIER")
    await give_tier(conn, known, tier, who, "account.invited", why)
    await waitlist.leave(conn, tenant, account)
    return tier


async def give_tier(conn: Connection, known: Account, tier: Tier, who: str, what: str, why: str = "") -> None:
    """Moves an account to another tier, with its event (`what`) and the audit, which alone says `why`."""
    await accounts.set_tier(conn, known.tenant, known.account, tier)
    await events.append(conn, what, known.account, tenant=known.tenant, before=known.tier, tier=tier)
    said = {"before": known.tier, "after": tier, "why": why}
    await audit.append(conn, who, what, f"{known.tenant}/{known.account}", **said)
