"""Velocity: requests of this hour against an absolute bound and against the account's own past.

The past is an exponentially weighted mean and mean deviation of ln(1 + requests) over the hours that had any, so that
nights say nothing and doubling weighs the same for all. What an hour may teach is clipped (Huber 1964): one mad hour
does not become the normal, and an hour that alarmed teaches nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from services.core.anomalies.alarm import Alarm
from services.core.policy.anomaly_rules import VelocityRule

HOUR_SECONDS = 3600
MEMORY_HOURS = 50
CLIP = 3.0  # deviations
LEAST_SPREAD = 0.25  # of ln(1 + requests): whoever is regular is allowed a little


@dataclass(frozen=True, slots=True)
class Velocity:
    """`hour` counts from the epoch, `count` the requests in it; `usual` and `spread` are of ln(1 + requests)."""

    hour: int = 0
    count: int = 0
    usual: float = 0.0
    spread: float = 1.0
    hours: int = 0
    alarmed: bool = False


def step(state: Velocity, at: float, rule: VelocityRule) -> tuple[Velocity, Alarm | None]:
    """One request at `at` (seconds since the epoch); at most one alarm an hour.

    Gateways whose clocks differ a little count on in the later hour; after a clock was set back the hour begins anew
    and teaches nothing, or a whole day would count as one hour.
    """
    hour = int(at // HOUR_SECONDS)
    if hour > state.hour:
        state = _learned(state, hour)
    elif hour < state.hour - 1:
        state = Velocity(hour, 0, state.usual, state.spread, state.hours)
    count = state.count + 1
    bound = _bound(state, rule)
    alarmed = state.alarmed or count > bound
    after = Velocity(state.hour, count, state.usual, state.spread, state.hours, alarmed)
    if not alarmed or state.alarmed:
        return after, None
    usual = math.expm1(state.usual)
    settled = state.hours >= rule.learn_hours
    against = f"about {usual:.0f} an hour are usual for it" if settled else "it has no habits yet"
    return after, Alarm(
        "velocity",
        f"{count} requests within an hour; {against}, {bound:.0f} are the bound.",
        {"requests": count, "usual": round(usual, 1), "bound": round(bound)},
    )


def _bound(state: Velocity, rule: VelocityRule) -> float:
    if state.hours < rule.learn_hours:
        return rule.per_hour
    own = rule.times * math.expm1(state.usual + state.spread)
    return min(rule.per_hour, max(rule.least, own))


def _learned(state: Velocity, hour: int) -> Velocity:
    """What the finished hour teaches."""
    if state.count == 0 or state.alarmed:
        return Velocity(hour, 0, state.usual, state.spread, state.hours)
    size = math.log1p(state.count)
    if state.hours == 0:
        return Velocity(hour, 0, size, state.spread, 1)
    rate = 1 / min(state.hours + 1, MEMORY_HOURS)
    off = max(-CLIP * state.spread, min(CLIP * state.spread, size - state.usual))
    spread = max(LEAST_SPREAD, state.spread + rate * (abs(off) - state.spread))
    return Velocity(hour, 0, state.usual + rate * off, spread, state.hours + 1)
