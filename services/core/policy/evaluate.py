"""Evaluate a policy on one item: signals in, judgement out. Pure: the same in, the same out."""

from __future__ import annotations

from services.core.policy.categories import CATEGORIES, Stage, parent
from services.core.policy.concepts import is_concept
from services.core.policy.document import Policy
from services.core.policy.floors import ALWAYS_BLOCK
from services.core.policy.rules import CompiledRule, Outcome, context_for
from services.core.policy.scores import settled
from services.core.signals import Evidence, Measurement, Signal
from services.core.verdicts import Judgement, Reason, Tier, Verdict

_SUBJECT: dict[Stage, str] = {
    "prompt": "The text",
    "upload": "The picture",
    "pair": "The edit",
    "output": "The generated picture",
}


def evaluate(policy: Policy, stage: Stage, tier: Tier, measurement: Measurement) -> Judgement:
    """What the policy makes of one measurement: the most severe verdict, and everything that fired, worst first."""
    signals = tuple(settled(signal) for signal in measurement.signals)
    reviews: list[bool] = []
    reasons: list[Reason] = []
    for reason, held in (
        *_thresholds(policy, stage, tier, signals),
        *_rules(policy, stage, tier, signals, measurement.capabilities),
    ):
        reasons.append(reason)
        if reason.verdict is Verdict.REVIEW:
            reviews.append(held)
    reasons.sort(key=lambda reason: (-reason.verdict, -reason.score, reason.category, reason.rule))
    verdict = max((reason.verdict for reason in reasons), default=Verdict.ALLOW)
    return Judgement(verdict, tuple(reasons), held=any(reviews) or verdict is not Verdict.REVIEW)


def _known(category: str) -> str | None:
    """The category itself or its nearest known ancestor; None where the vocabulary has neither."""
    name: str | None = category
    while name is not None and name not in CATEGORIES:
        name = parent(name)
    return name


def _thresholds(policy: Policy, stage: Stage, tier: Tier, signals: tuple[Signal, ...]) -> list[tuple[Reason, bool]]:
    by_category: dict[str, list[Signal]] = {}
    for signal in signals:
        if not is_concept(signal.category):
            by_category.setdefault(signal.category, []).append(signal)
    fired = (_category(policy, stage, tier, name, group) for name, group in by_category.items())
    return [reason for reason in fired if reason is not None]


def _category(
    policy: Policy, stage: Stage, tier: Tier, category: str, signals: list[Signal]
) -> tuple[Reason, bool] | None:
    """The reason of one category with its hold, None where its thresholds are not reached."""
    score = max(signal.score for signal in signals)
    known = _known(category)
    if known is None:
        message = f"{_SUBJECT[stage]} was measured for {category!r}, which this policy does not know."
        return Reason(category, message, score, 0.0, Verdict.BLOCK), True
    limit = policy.limits[known, stage, tier]
    if score < min(limit.review, limit.block):
        return None
    blocked = score >= limit.block
    threshold = limit.block if blocked else limit.review
    shown = _evidence(signals, threshold) if limit.show else ()
    verdict = Verdict.BLOCK if blocked else Verdict.REVIEW
    message = f"{_SUBJECT[stage]} {CATEGORIES[known]}."
    return Reason(category, message, score, threshold, verdict, evidence=shown), limit.held


def _rules(
    policy: Policy, stage: Stage, tier: Tier, signals: tuple[Signal, ...], capabilities: tuple[str, ...]
) -> list[tuple[Reason, bool]]:
    scores: dict[str, float] = {}
    for signal in signals:
        scores[signal.category] = max(signal.score, scores.get(signal.category, 0.0))
    context = context_for(stage, tier, scores, capabilities)
    return [
        (reason, compiled.rule.action == "hold")
        for compiled in policy.rules
        if stage in compiled.rule.stages
        for reason in _rule(policy, compiled, compiled.run(context), stage, tier, signals)
    ]


def _rule(
    policy: Policy, compiled: CompiledRule, outcome: Outcome, stage: Stage, tier: Tier, signals: tuple[Signal, ...]
) -> list[Reason]:
    """The reason of a rule, if it did not pass; an unknown rule fires, one with an error blocks."""
    if outcome is Outcome.PASSED:
        return []
    rule = compiled.rule
    message = rule.message
    verdict = Verdict.BLOCK if outcome is Outcome.ERROR or rule.category in ALWAYS_BLOCK else Verdict[rule.verdict]
    if outcome is Outcome.UNKNOWN:
        message = f"{message} (Rule {rule.name} could not be decided, because a measurement is missing.)"
    elif outcome is Outcome.ERROR:
        message = f"Rule {rule.name} failed, so nothing may pass."
    read = [signal for signal in signals if signal.category in compiled.reads and signal.score > 0]
    score = max((signal.score for signal in read), default=0.0)
    shown = _evidence(read, 0.0) if policy.limits[rule.category, stage, tier].show else ()
    return [Reason(rule.category, message, score, 0.0, verdict, rule.name, shown)]


def _evidence(signals: list[Signal], threshold: float) -> tuple[Evidence, ...]:
    """What the signals that reached the threshold point to, the highest score first, each once."""
    reached = sorted((s for s in signals if s.score >= threshold), key=lambda signal: -signal.score)
    return tuple(dict.fromkeys(signal.evidence for signal in reached if signal.evidence is not None))
