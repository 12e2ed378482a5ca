"""What a ladder would do to the accounts there are: how many weigh how much, and whom each step would meet."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import datetime

from services.core.policy.standing_rules import StandingRules
from services.core.standing.ladder import ROUNDING, RUNGS, Jitter, Strike, peak, sanctions, score, threshold
from services.core.standing.violations import gravest
from services.core.store import conduct_records, strikes
from services.core.store.conduct_records import Record
from services.core.store.database import Connection

EDGES = (0.0, 0.25, 0.5, 1.0, 2.0, 3.0, 5.0, 8.0, 12.0, 20.0, 30.0, 50.0)


@dataclass(slots=True)
class Histogram:
    """Accounts by the decayed weight of their strikes now, and by the steps that they are at, or ever were.

    `weights` counts by the lower edge of `EDGES` (the last is open above), `all` every account, also those without a
    strike. `now` and `ever` count by step, "banned" where the weight was enough for one.
    """

    all: int
    weights: Counter[float] = field(default_factory=Counter[float])
    now: Counter[str] = field(default_factory=Counter[str])
    ever: Counter[str] = field(default_factory=Counter[str])

    def add(self, given: list[Strike], rules: StandingRules, now: datetime, jitter: Jitter) -> None:
        """Counts one account by its strikes."""
        weight = score(given, rules, now)
        self.weights[EDGES[bisect_right(EDGES, weight) - 1]] += 1
        holding = sanctions(given, rules, now, jitter)
        self.now.update(each.step for each in holding)
        self.now["banned"] += any(each.repeated for each in holding)
        highest = peak(given, rules) * (1 + ROUNDING)
        self.ever.update(step for step in (*RUNGS, "banned") if highest >= threshold(step, rules, jitter))


async def histogram(
    conn: Connection, rules: StandingRules, since: datetime, now: datetime, tenant: str | None
) -> Histogram:
    """Goes through what was decided since a time, of one platform or (None) of all.

    Refusals are weighed anew by `rules`, whether strikes were given at the time or not; what people upheld counts as it
    was given. Needs a transaction.
    """
    secret = await strikes.secret(conn)
    result = Histogram(await conduct_records.count_accounts(conn, tenant))
    async for (owner, account), records in _by_account(conduct_records.since(conn, since, tenant)):
        given = [strike for record in records if (strike := _strike(record, rules))]
        result.add(given, rules, now, Jitter(secret, owner, account))
    result.weights[0.0] += result.all - result.weights.total()
    return result


async def _by_account(records: AsyncIterator[Record]) -> AsyncIterator[tuple[tuple[str, str], list[Record]]]:
    current: list[Record] = []
    async for record in records:
        if current and (record.tenant, record.account) != (current[0].tenant, current[0].account):
            yield (current[0].tenant, current[0].account), current
            current = []
        current.append(record)
    if current:
        yield (current[0].tenant, current[0].account), current


def _strike(record: Record, rules: StandingRules) -> Strike | None:
    if record.weight is not None:
        return Strike(record.decision_id, record.at, record.weight, "")
    reason = gravest(record.reasons, rules)
    weight = rules.weight_of(reason.category) * rules.severity.blocked if reason else 0.0
    return Strike(record.decision_id, record.at, weight, "") if weight else None
