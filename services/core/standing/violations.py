"""Which strike a decision or a person's word leads to: one for each request, for the gravest that was found."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from services.core.policy.standing_rules import StandingRules
from services.core.store.review_items import ReviewItem
from services.core.store.stops import Stop
from services.core.store.strikes import NewStrike, Source
from services.core.verdicts import ACCOUNT_HELD, Reason, Verdict


def of_stops(stops: Iterable[Stop], rules: StandingRules, seals: Collection[str]) -> NewStrike | None:
    """The strike of a creating request that a filter refused, None where there was nothing to refuse, or little.

    What the account sent counts. A picture that the screen refused does not: all that was asked for had been let
    through.
    """
    refused = [stop for stop in stops if stop.verdict is Verdict.BLOCK and stop.stage != "output"]
    severity = rules.severity.blocked
    found = [_strike(stop, "blocked", _firm(stop.reasons), severity, rules, seals) for stop in refused]
    return max((strike for strike in found if strike), key=lambda strike: strike.weight, default=None)


def of_item(item: ReviewItem, rules: StandingRules, seals: Collection[str]) -> NewStrike | None:
    """The strike of a case that a person upheld; None for other kinds of cases, and where the policy weighs it 0."""
    if item.resolution != "uphold" or item.tier == "red_team":
        return None
    if item.kind == "report":
        return _strike(item, "reported", item.reasons, rules.severity.reported, rules, seals)
    if item.kind == "content":
        share = rules.outputs if item.stage == "output" else 1.0
        return _strike(item, "upheld", item.reasons, rules.severity.upheld * share, rules, seals)
    return None


def gravest(reasons: Iterable[Reason], rules: StandingRules) -> Reason | None:
    """The reason that weighs most; one about the account itself only where there is no other."""
    ranked = sorted(reasons, key=lambda reason: (reason.rule != ACCOUNT_HELD, rules.weight_of(reason.category)))
    return ranked[-1] if ranked else None


def _firm(reasons: Sequence[Reason]) -> list[Reason]:
    return [reason for reason in reasons if reason.verdict is Verdict.BLOCK]


def _strike(
    case: Stop | ReviewItem,
    source: Source,
    reasons: Sequence[Reason],
    severity: float,
    rules: StandingRules,
    seals: Collection[str],
) -> NewStrike | None:
    reason = gravest(reasons, rules)
    weight = rules.weight_of(reason.category) * severity if reason else 0.0
    if reason is None or weight == 0:
        return None
    sealed = any(each.category in seals for each in case.reasons)
    return NewStrike(case.decision_id, source, reason.category, case.stage, weight, sealed)
