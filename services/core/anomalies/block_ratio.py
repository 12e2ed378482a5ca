"""Block ratio: whether refusals have outgrown their usual share.

A CUSUM (Page 1954, "Continuous inspection schemes", Biometrika 41) of the log likelihood ratio of refusals being `odds`
times likelier than usual, for Bernoulli observations (Reynolds & Stoumbos 1999). What is usual is an exponentially
weighted mean, kept between a floor and the policy's ceiling. It stands still while the sum is above zero: a run of
requests teaches once it has proved harmless, and never if it alarmed, so an attack does not become the normal. One
refusal adds a bounded step and never alarms.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from services.core.anomalies.alarm import Alarm, Rule
from services.core.policy.anomaly_rules import BlockRatioRule

FLOOR = 0.005
HIGHEST = 2.0  # alarms: how far above it the sum may lie, so that good conduct brings it down again


@dataclass(frozen=True, slots=True)
class BlockRatio:
    """`usual` is None before anything was seen; `score` the CUSUM, since whose last zero `requests` held `blocked`."""

    usual: float | None = None
    seen: int = 0
    score: float = 0.0
    requests: int = 0
    blocked: int = 0
    alarmed: bool = False


def step(
    state: BlockRatio, blocked: int, requests: int, rule: BlockRatioRule, name: Rule = "block_ratio"
) -> tuple[BlockRatio, Alarm | None]:
    """`blocked` refusals among `requests` (at least 1, seen together); an alarm for as long as the sum is too high."""
    usual = state.usual if state.usual is not None else rule.usual
    normal = min(max(usual, FLOOR), rule.ceiling)
    worse = rule.odds * normal / (1 - normal + rule.odds * normal)
    gain = blocked * math.log(worse / normal) + (requests - blocked) * math.log((1 - worse) / (1 - normal))
    score = min(max(0.0, state.score + gain), HIGHEST * rule.alarm)
    run = replace(
        state,
        usual=usual,
        score=score,
        requests=state.requests + requests,
        blocked=state.blocked + blocked,
        alarmed=state.alarmed or score >= rule.alarm,
    )
    after = _learned(run, rule) if score == 0 else run
    if score < rule.alarm:
        return after, None
    share = after.blocked / after.requests
    return after, Alarm(
        name,
        f"{after.blocked} of the last {after.requests} requests were refused ({share:.0%}); {normal:.1%} are usual.",
        {
            "blocked": after.blocked,
            "requests": after.requests,
            "usual": round(normal, 4),
            "score": round(score, 2),
            "alarm": rule.alarm,
        },
    )


def _learned(run: BlockRatio, rule: BlockRatioRule) -> BlockRatio:
    """What a run that is over teaches; many requests at once weigh as much as one by one."""
    if run.alarmed or run.usual is None:
        return BlockRatio(run.usual, run.seen)
    rate = 1 / min(run.seen + rule.memory / 4, rule.memory)  # as if `usual` had been seen a while already
    learned = run.usual + (1 - (1 - rate) ** run.requests) * (run.blocked / run.requests - run.usual)
    return BlockRatio(learned, min(run.seen + run.requests, rule.memory))
