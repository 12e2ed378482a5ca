"""What people's decisions mean for an account's standing, and what must be seen to from time to time."""

from __future__ import annotations

from datetime import UTC, datetime

import structlog

from services.core import telemetry
from services.core.policy.document import Policy
from services.core.standing import conduct, trust
from services.core.standing.ladder import STANDINGS
from services.core.standing.violations import of_item
from services.core.store import accounts, policies, suspensions
from services.core.store.database import Connection, Database
from services.core.store.review_items import ReviewItem
from services.core.verdicts import Verdict

BATCH = 200

log = structlog.get_logger()


async def judge_conduct(conn: Connection, item: ReviewItem, policy: Policy) -> None:
    """A strike for what a person upheld; what a filter gave for what a person found harmless is taken back."""
    if item.golden:  # a known case, to measure by
        return
    rules, now = policy.document.standing, datetime.now(UTC)
    if strike := of_item(item, rules, policy.document.review.seals):
        await conduct.strike(conn, item.tenant, item.account, strike, rules, now)
    if item.resolution == "release" and item.kind == "content" and item.verdict is Verdict.BLOCK:
        await conduct.reverse(
            conn,
            item.tenant,
            item.decision_id,
            who=item.decided_by or conduct.HOUSE,
            why="a person released what was refused",
            rules=rules,
            now=now,
            categories=[reason.category for reason in item.reasons],
        )


async def review_suspension(conn: Connection, item: ReviewItem, policy: Policy) -> None:
    """A suspension that a person upheld stands, and bans where its weight is enough; one released ends."""
    if item.kind != "suspension":
        return
    settle = conduct.restore if item.resolution == "release" else conduct.confirm_suspension
    who = item.decided_by or conduct.HOUSE
    await settle(conn, item.tenant, item.account, who=who, rules=policy.document.standing, now=datetime.now(UTC))


async def sweep(database: Database) -> None:
    """What cannot wait: standings that have ended, suspensions that nobody looked at, figures.

    Raises Unavailable if Postgres is not there or no policy is in force.
    """
    now = datetime.now(UTC)
    async with database.transaction() as conn:
        rules = (await policies.load_active(conn)).document.standing
        for tenant, account in await accounts.ended(conn, now, BATCH):
            await conduct.renew(conn, tenant, account, rules, now)
    if rules.ladder.suspended.unreviewed == "lift":
        async with database.transaction() as conn:
            for tenant, account in await suspensions.overdue(conn, now, BATCH):
                await conduct.restore(
                    conn, tenant, account, who=conduct.HOUSE, rules=rules, now=now, note="nobody looked in due time"
                )
    await _show_figures(database, now)


async def tidy(database: Database) -> None:
    """What can wait: trust for those who earned it. Raises Unavailable as `sweep` does."""
    async with database.transaction() as conn:
        rules = (await policies.load_active(conn)).document.standing
    while True:
        async with database.transaction() as conn:
            looked = await trust.promote(conn, rules, datetime.now(UTC), BATCH)
        if looked < BATCH:
            return


async def _show_figures(database: Database, now: datetime) -> None:
    async with database.transaction() as conn:
        counts = await accounts.by_standing(conn)
        overdue = await suspensions.count_overdue(conn, now)
    for standing in STANDINGS[1:]:
        telemetry.STANDINGS.labels(standing).set(counts.get(standing, 0))
    telemetry.SUSPENSIONS_OVERDUE.set(overdue)
