"""What a case is about beside its content: a reported picture, an appealed refusal, a suspension, and the account."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from services.core.standing import conduct
from services.core.standing.ladder import Standing
from services.core.store import accounts, appeals, reports, rounds, strikes
from services.core.store.accounts import Account
from services.core.store.appeals import Appeal
from services.core.store.database import Connection
from services.core.store.reports import Case
from services.core.store.review_items import ReviewItem
from services.core.store.strikes import Change
from services.review.console.accounts import Weighed, weigh
from services.review.console.door import Call

STRIKES, ALL_STRIKES, CHANGES = 5, 30, 20


@dataclass(frozen=True, slots=True)
class Conduct:
    """How an account stands, what its strikes weigh, and the latest of them: as far as one may know of sealed ones."""

    known: Account
    standing: Standing
    weight: float
    strikes: list[Weighed]


@dataclass(frozen=True, slots=True)
class About:
    """What belongs to a case by its kind; what its kind does not have is None or empty.

    `barred` are those who may not take an appeal, `mine`: one is among those who may not take this case any more.
    `changes` are how the account came to be suspended, where the case is about that.
    """

    report: Case | None
    appeal: Appeal | None
    barred: list[str]
    mine: bool
    changes: list[Change]
    conduct: Conduct | None

    @property
    def statements(self) -> int:
        """How many statements were made."""
        made = [each.statement for each in self.report.reports] if self.report else []
        return sum(statement is not None for statement in [*made, self.appeal.statement if self.appeal else None])

    @property
    def of_standing(self) -> bool:
        """Whether it is about the account rather than about content."""
        return bool(self.changes)


async def about(conn: Connection, call: Call, item: ReviewItem) -> About:
    """All that a person may know of what a case is about, without the content."""
    appeal = await appeals.of_item(conn, item.item_id) if item.kind == "appeal" else None
    suspended = item.kind == "suspension" or (appeal is not None and appeal.decision_id is None)
    barred = await rounds.judges(conn, item.item_id) if item.kind == "appeal" else []
    return About(
        report=await reports.case(conn, item),
        appeal=appeal,
        barred=barred,
        mine=bool(await rounds.judged_by(conn, [item.item_id], call.person.identity)),
        changes=await strikes.changes(conn, item.tenant, item.account, CHANGES) if suspended else [],
        conduct=await _conduct(conn, call, item, ALL_STRIKES if suspended else STRIKES),
    )


async def _conduct(conn: Connection, call: Call, item: ReviewItem, most: int) -> Conduct | None:
    known = await accounts.get(conn, item.tenant, item.account)
    if known is None:
        return None
    rules, sees, now = call.console.policy.current.document.standing, call.person.sees(), datetime.now(UTC)
    given = await strikes.of_account(conn, item.tenant, item.account, sealed=sees)
    outlook = await conduct.outlook(conn, known, rules, now, sealed=sees)
    return Conduct(known, known.standing_at(now), outlook.weight, weigh(given[:most], rules, now))
