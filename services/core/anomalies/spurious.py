"""Spurious content: how often a model draws what nobody asked for.

Outputs and those held back are counted with exponential decay; the alarm is the lower end of the share's 99% interval
(Wilson 1927), so that a few bad pictures of few prove nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from services.core.anomalies.alarm import Alarm
from services.core.policy.anomaly_rules import SpuriousRule

Z = 2.326  # one-sided 99%


@dataclass(frozen=True, slots=True)
class Spurious:
    """Outputs whose request was allowed throughout, and those of them held back, both as they weigh at `at`."""

    outputs: float = 0.0
    spurious: float = 0.0
    at: float = 0.0


def step(
    state: Spurious, spurious: int, outputs: int, at: float, rule: SpuriousRule, model: str
) -> tuple[Spurious, Alarm | None]:
    """`spurious` among `outputs` of `model` at `at` (seconds); an alarm for as long as the share is too high."""
    kept = 0.5 ** (max(0.0, at - state.at) / (rule.half_life_hours * 3600))
    after = Spurious(state.outputs * kept + outputs, state.spurious * kept + spurious, at)
    least = lower_bound(after.spurious, after.outputs)
    if after.outputs < rule.outputs or least <= rule.share:
        return after, None
    share = after.spurious / after.outputs
    return after, Alarm(
        "spurious",
        f"Of about {after.outputs:.0f} pictures that {model} drew lately for allowed requests, {share:.1%} were held"
        f" back by the screen; {rule.share:.1%} are the bound.",
        {
            "outputs": round(after.outputs),
            "spurious": round(after.spurious, 1),
            "at_least": round(least, 4),
            "bound": rule.share,
        },
    )


def lower_bound(successes: float, trials: float) -> float:
    """The lower end of Wilson's interval for a share, 0 … 1; 0 where there were no trials."""
    if trials <= 0:
        return 0.0
    share = successes / trials
    middle = share + Z**2 / (2 * trials)
    margin = Z * math.sqrt(max(0.0, share * (1 - share) / trials + Z**2 / (4 * trials**2)))
    return max(0.0, (middle - margin) / (1 + Z**2 / trials))
