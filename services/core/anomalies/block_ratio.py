"""Block ratio: whether refusals have outgrown their usual share.

A CUSUM (Page 1954, "Continuous inspection schemes", Biometrika 41) of the log likelihood ratio of refusals being `odds`
times likelier than usual, for Bernoulli observations (Reynolds & Stoumbos 1999). What is usual is an exponentially
weighted mean, kept between a floor and the policy's ceiling, and frozen from half the alarm on: so an attack neither
becomes the normal nor does one refusal, which adds a bounded step, ever alarm.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

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


def step(
    state: BlockRatio, blocked: int, requests: int, rule: BlockRatioRule, name: Rule = "block_ratio"
) -> tuple[BlockRatio, Alarm | None]:
    """`blocked` refusals among `requests` (at least 1, seen together); an alarm for as long as the sum is too high."""
    usual = state.usual if state.usual is not None else rule.usual
    normal = min(max(usual, FLOOR), rule.ceiling)
    worse = rule.odds * normal / (1 - normal + rule.odds * normal)
    gain = blocked * math.log(worse / normal) + (requests - blocked) * math.log((1 - worse) / (1 - normal))
    score = min(max(0.0, state.score + gain), HIGHEST * rule.alarm)
    if score < rule.alarm / 2:
        # As if `usual` had been seen a while already; many at once weigh as much as one by one.
        rate = 1 / min(state.seen + rule.memory / 4, rule.memory)
        usual += (1 - (1 - rate) ** requests) * (blocked / requests - usual)
    run = (0, 0) if score == 0 else (state.requests + requests, state.blocked + blocked)
    after = BlockRatio(usual, min(state.seen + requests, rule.memory), score, *run)
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
