"""An account in front of a person: what holds for it and why, what its conduct was, and what can be done about it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import get_args

from starlette.responses import Response

from services.core.errors import FailedPrecondition, InvalidInput, NotFound
from services.core.policy.standing_rules import StandingRules
from services.core.standing import conduct, trust
from services.core.standing.conduct import Imposed
from services.core.store import account_links, accounts, anomalies, histories, strikes, tenants
from services.core.store.strikes import GivenStrike
from services.core.verdicts import Tier
from services.review.console import allowance
from services.review.console.door import Call, Page
from services.review.console.rendering import account_path

LONGEST_ACCOUNT = 128
CHANGES, STRIKES, DECISIONS, CASES = 20, 50, 12, 30
TIERS: tuple[Tier, ...] = get_args(Tier)
STEPS: dict[str, Imposed] = {name: name for name in get_args(Imposed)}
LONGEST_DAYS = 3650.0
FLAGS, MOST_SHARERS = 20, 100


@dataclass(frozen=True, slots=True)
class Weighed:
    """A strike, and what is left of its weight now: 0 for one that was taken back."""

    strike: GivenStrike
    left: float


def weigh(given: list[GivenStrike], rules: StandingRules, now: datetime) -> list[Weighed]:
    """Strikes with what is left of each: half of it after each half-life."""
    return [Weighed(each, 0.0 if each.reversed_at else _left(each, rules, now)) for each in given]


async def find(call: Call) -> Response:
    """The search for one account, by its platform and exact id; the account itself where both are given."""
    tenant, account = call.query("tenant", 64), call.query("account", LONGEST_ACCOUNT)
    if tenant and account:
        return await _show(call, tenant, account)
    async with call.console.database.transaction() as conn:
        names = [name for name, *_ in await tenants.list_tenants(conn)]
    return call.page("accounts.html.j2", tenants=names, tenant=tenant)


async def show(call: Call) -> Response:
    """One account."""
    return await _show(call, call.path("tenant"), call.path("account"))


async def impose(call: Call) -> Response:
    """A step, for a time, by this person's word; a ban only of who is suspended already, and without end."""
    tenant, account, why = _whom(call), call.text("account", LONGEST_ACCOUNT), reason(call)
    step = STEPS.get(call.text("step", 20))
    if step is None:
        raise InvalidInput("step", f"one of {', '.join(STEPS)}")
    rules, now = call.console.policy.current.document.standing, datetime.now(UTC)
    until = None if step == "banned" else now + timedelta(days=_days(call))
    async with call.console.database.transaction() as conn:
        known = await accounts.lock(conn, tenant, account)
        if step == "banned" and known.standing_at(now) != "suspended":
            raise FailedPrecondition("only who is suspended can be banned", reason="NOT_SUSPENDED")
        who = call.person.identity
        await conduct.impose(
            conn, tenant, account, step, "person", until, who=who, rules=rules, now=now, confirmed=True, note=why
        )
    return call.to(account_path(tenant, account))


async def restore(call: Call) -> Response:
    """Ends whatever holds for an account."""
    tenant, account, why = _whom(call), call.text("account", LONGEST_ACCOUNT), reason(call)
    rules, now = call.console.policy.current.document.standing, datetime.now(UTC)
    async with call.console.database.transaction() as conn:
        await conduct.restore(conn, tenant, account, who=call.person.identity, rules=rules, now=now, note=why)
    return call.to(account_path(tenant, account))


async def set_tier(call: Call) -> Response:
    """Moves an account to another tier."""
    tenant, account, why = _whom(call), call.text("account", LONGEST_ACCOUNT), reason(call)
    tier = next((name for name in TIERS if name == call.text("tier", 20)), None)
    if tier is None:
        raise InvalidInput("tier", f"one of {', '.join(TIERS)}")
    async with call.console.database.transaction() as conn:
        known = await accounts.lock(conn, tenant, account)
        await trust.give_tier(conn, known, tier, call.person.identity, "account.tier", why)
    return call.to(account_path(tenant, account))


async def reverse(call: Call) -> Response:
    """Takes back the strike of a decision, as if it had never been given.

    One of a sealed case is its case's to take back: what is said here is for people who may not know of that.
    """
    tenant, account, why = _whom(call), call.text("account", LONGEST_ACCOUNT), reason(call)
    rules, now = call.console.policy.current.document.standing, datetime.now(UTC)
    async with call.console.database.transaction() as conn:
        given = await strikes.of_account(conn, tenant, account, sealed=[False])
        strike = next((each for each in given if str(each.strike_id) == call.text("strike", 36)), None)
        if strike is None:
            raise NotFound("there is no such strike", reason="STRIKE_UNKNOWN")
        await conduct.reverse(
            conn,
            tenant,
            strike.decision_id,
            who=call.person.identity,
            why=why,
            rules=rules,
            now=now,
            categories=[strike.category],
            sealed=[False],
        )
    return call.to(account_path(tenant, account))


def reason(call: Call) -> str:
    """Why somebody does what the form says; raises InvalidInput without a word."""
    why = call.text("why", 500).strip()
    if not why:
        raise InvalidInput("why", "say why: 1 to 500 characters")
    return why


async def _show(call: Call, tenant: str, account: str) -> Response:
    if "\x00" in tenant + account or len(account) > LONGEST_ACCOUNT:
        raise NotFound("there is no such account", reason="ACCOUNT_UNKNOWN")
    policy, sees, now = call.console.policy.current.document, call.person.sees(), datetime.now(UTC)
    async with call.console.database.transaction() as conn:
        known = await accounts.get(conn, tenant, account)
        if known is None:
            raise accounts.unknown(tenant, account)
        given = await strikes.of_account(conn, tenant, account, sealed=sees)
        outlook = await conduct.outlook(conn, known, policy.standing, now, sealed=sees)
        changes = await strikes.changes(conn, tenant, account, CHANGES)
        past = await histories.decisions_of(conn, tenant, account, policy.review.seals, sees, DECISIONS)
        cases = await histories.cases_of(conn, tenant, account, sees, None, CASES)
        fired = await anomalies.of_subject(conn, tenant, account, sealed=sees, limit=FLAGS)
        sharers = await account_links.sharers(conn, tenant, account, MOST_SHARERS)
        credits_left = await allowance.credits_left(conn, call, known)
        theirs = {each.strike_id for each in await strikes.of_account(conn, tenant, account, sealed=[False])}
    return call.page(
        "account.html.j2",
        known=known,
        standing=known.standing_at(now),
        outlook=outlook,
        strikes=weigh(given[:STRIKES], policy.standing, now),
        reversible=theirs,
        more_strikes=len(given) > STRIKES,
        changes=changes,
        past=past,
        cases=cases,
        flags=fired,
        sharers=sharers,
        most_sharers=MOST_SHARERS,
        quotas=await allowance.quotas(call, known),
        credits_left=credits_left,
        tiers=TIERS,
        usual=_usual(policy.standing),
    )


def _usual(rules: StandingRules) -> dict[str, str]:
    """For how long each step holds by the ladder in force, in words."""
    steps = {name: getattr(rules.ladder, name).hours for name in ("warned", "cooling", "held", "suspended")}
    return {name: f"{hours / 24:g} d" if hours >= 24 else f"{hours:g} h" for name, hours in steps.items()}


def _left(strike: GivenStrike, rules: StandingRules, now: datetime) -> float:
    days = max(0.0, (now - strike.at) / timedelta(days=1))
    return strike.weight * math.exp2(-days / rules.half_life_days)


def _whom(call: Call) -> str:
    return call.text("tenant", 64)


def _days(call: Call) -> float:
    try:
        days = float(call.text("days", 20))
    except ValueError:
        days = math.nan
    if not 0.01 <= days <= LONGEST_DAYS:
        raise InvalidInput("days", f"0.01 to {LONGEST_DAYS:g}")
    return days


PAGES = (
    Page("GET", "/accounts", "accounts", find, "Accounts"),
    Page("GET", "/accounts/{tenant}/{account:path}", "accounts", show),
    Page("POST", "/accounts/impose", "accounts", impose),
    Page("POST", "/accounts/restore", "accounts", restore),
    Page("POST", "/accounts/tier", "accounts", set_tier),
    Page("POST", "/accounts/reverse", "accounts", reverse),
)
