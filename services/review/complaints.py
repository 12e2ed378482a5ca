"""What deciding a report or an appeal leads to, applied in the transaction that settles it.

| kind | upheld | released |
|---|---|---|
| report | the picture is withdrawn, its reporters are believed more | it stays, they are believed less |
| appeal | denied | granted: a suspension ends; the case itself is what the labs learn from |
"""

from __future__ import annotations

from datetime import UTC, datetime

from services.core.policy.document import Policy
from services.core.policy.standing_rules import StandingRules
from services.core.standing import conduct
from services.core.store import appeals, events, outbox, reports
from services.core.store.appeals import Appeal
from services.core.store.database import Connection
from services.core.store.review_items import ReviewItem

WHY = "an appeal was granted"


async def settle_report(conn: Connection, item: ReviewItem, _policy: Policy) -> None:
    """Has the picture withdrawn, or lets it stay; tells those who relayed reports of it."""
    if item.kind != "report" or item.subject is None or item.golden:
        return
    upheld = item.resolution == "uphold"
    if upheld:
        # The registry is another room's: this is told to it after the commit, again and again until it is done.
        await outbox.add(conn, outbox.WITHDRAW_IMAGE, [item.subject])
    outcome: reports.Outcome = "upheld" if upheld else "dismissed"
    for report_id, tenant in await reports.settle(conn, item.item_id, outcome):
        await events.append(conn, "report.decided", str(report_id), tenant=tenant, sealed=item.sealed, outcome=outcome)


async def settle_appeal(conn: Connection, item: ReviewItem, policy: Policy) -> None:
    """Grants or denies, and tells the tenant."""
    if item.kind != "appeal" or item.golden:
        return
    state: appeals.State = "granted" if item.resolution == "release" else "denied"
    appeal = await appeals.settle(conn, item.item_id, state)
    if appeal is None:
        return
    if state == "granted":
        await _overturn(conn, item, appeal, policy.document.standing)
    await events.append(
        conn,
        "appeal.decided",
        str(appeal.appeal_id),
        tenant=appeal.tenant,
        sealed=item.sealed,
        decision=str(appeal.decision_id or ""),
        account=appeal.account,
        state=state,
    )


async def _overturn(conn: Connection, item: ReviewItem, appeal: Appeal, rules: StandingRules) -> None:
    """The one place where a granted appeal changes an account: strikes are taken back, or a suspension ends."""
    who, now = item.decided_by or "review", datetime.now(UTC)
    if appeal.decision_id is None:
        await conduct.restore(conn, appeal.tenant, appeal.account, who=who, rules=rules, now=now, note=WHY)
        return
    await conduct.reverse(
        conn,
        appeal.tenant,
        appeal.decision_id,
        who=who,
        why=WHY,
        rules=rules,
        now=now,
        appeal=appeal.appeal_id,
        categories=[reason.category for reason in item.reasons],
    )
