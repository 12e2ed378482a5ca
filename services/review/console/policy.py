"""The policy: what is in force, what was, what two of them differ in, and what waits in shadow. Read-only."""

from __future__ import annotations

import asyncio
import re
from datetime import UTC, datetime, timedelta

from starlette.responses import Response

from services.core.errors import InvalidInput, Unavailable
from services.core.policy.limits import TIERS
from services.core.standing import backtest
from services.core.standing.backtest import EDGES, Histogram
from services.core.standing.ladder import RUNGS
from services.core.store import anomalies, policies, prompt_models, strikes
from services.core.store.anomalies import ShadowedRule
from services.core.store.strikes import ShadowedStep
from services.core.verdicts import Tier
from services.review.console.door import Call, Page
from services.review.console.policy_tables import difference, shadowed, tables_of, thresholds

ID = re.compile(r"[0-9a-f]{64}")
PAGE_SIZE = 50
SHADOW_DAYS = 30
HISTORY_DAYS = 90
FRESH = timedelta(minutes=10)
LONGEST_SECONDS = 900.0
HISTOGRAM = "histogram"


async def show_policy(call: Call) -> Response:
    """What is in force, in tables and as text."""
    async with call.console.database.transaction() as conn:
        activation = await policies.active(conn)
        policy = await policies.load_active(conn)
    if activation is None:
        raise Unavailable("no policy is in force", reason="NO_POLICY")
    document, tier = policy.document, _tier(call.query("tier"))
    parts = {name: getattr(document, name) for name in ("review", "limits", "standing", "anomalies", "diversity")}
    return call.page(
        "policy.html.j2",
        policy=policy,
        activation=activation,
        thresholds=thresholds(policy, tier),
        tier=tier,
        tiers=TIERS,
        parts={name: tables_of(section, name) if section else [] for name, section in parts.items()},
    )


async def show_history(call: Call) -> Response:
    """What was in force, newest first, two of which can be compared."""
    before = call.number("before")
    async with call.console.database.transaction() as conn:
        found = await policies.past(conn, PAGE_SIZE + 1, before)
    more = found[PAGE_SIZE - 1].activation_id if len(found) > PAGE_SIZE else None
    return call.page("policy_history.html.j2", activations=found[:PAGE_SIZE], more=more)


async def show_difference(call: Call) -> Response:
    """What two policies differ in."""
    ids = [_id(name, call.query(name, 64)) for name in ("before", "after")]
    async with call.console.database.transaction() as conn:
        before, after = [await policies.text_of(conn, policy_id) for policy_id in ids]
    lines = await asyncio.to_thread(difference, before, after)
    return call.page("policy_diff.html.j2", before=ids[0], after=ids[1], lines=lines)


async def show_shadow(call: Call) -> Response:
    """What is in shadow, what it would have done, models on trial, and whom the ladder would meet."""
    document = call.console.policy.current.document
    async with call.console.database.transaction() as conn:
        models, trial = await prompt_models.known(conn), await prompt_models.on_trial(conn)
    kept = call.console.kept
    watched = "anomalies in shadow, all" if call.person.may("sealed") else "anomalies in shadow"
    steps, found, counted = await asyncio.gather(
        kept.fresh("steps in shadow", lambda: _steps(call), FRESH),
        kept.fresh(watched, lambda: _anomalies(call), FRESH),
        kept.last(HISTOGRAM),
    )
    return call.page(
        "policy_shadow.html.j2",
        shadowed=list(shadowed(document)),
        steps=steps,
        found=found,
        days=SHADOW_DAYS,
        models=models,
        trial=trial,
        counted=counted,
        ladder=document.standing.ladder,
        rungs=(*RUNGS, "banned"),
        bins=list(zip(EDGES, [*EDGES[1:], None], strict=True)),
        history_days=HISTORY_DAYS,
    )


async def begin_histogram(call: Call) -> Response:
    """Begins to weigh the refusals on record anew."""
    call.console.kept.begin(HISTOGRAM, lambda: _histogram(call))
    return call.to("/policy/shadow")


async def _steps(call: Call) -> list[ShadowedStep]:
    async with call.console.database.transaction() as conn:
        return await strikes.in_shadow(conn, datetime.now(UTC) - timedelta(days=SHADOW_DAYS))


async def _anomalies(call: Call) -> list[ShadowedRule]:
    async with call.console.database.transaction() as conn:
        since = datetime.now(UTC) - timedelta(days=SHADOW_DAYS)
        return await anomalies.in_shadow(conn, since, call.person.sees())


async def _histogram(call: Call) -> Histogram:
    rules, now = call.console.policy.current.document.standing, datetime.now(UTC)
    async with call.console.database.transaction(LONGEST_SECONDS) as conn:
        await conn.execute("SET LOCAL statement_timeout = '10min'")
        return await backtest.histogram(conn, rules, now - timedelta(days=HISTORY_DAYS), now, None)


def _tier(name: str) -> Tier:
    for tier in TIERS:
        if tier == (name or "new"):
            return tier
    raise InvalidInput("tier", f"one of {', '.join(TIERS)}")


def _id(name: str, text: str) -> str:
    if not ID.fullmatch(text):
        raise InvalidInput(name, "must be the id of a policy: 64 hexadecimal digits")
    return text


PAGES = (
    Page("GET", "/policy", "policy", show_policy, "Policy"),
    Page("GET", "/policy/history", "policy", show_history),
    Page("GET", "/policy/diff", "policy", show_difference),
    Page("GET", "/policy/shadow", "policy", show_shadow),
    Page("POST", "/policy/histogram", "policy", begin_histogram),
)
