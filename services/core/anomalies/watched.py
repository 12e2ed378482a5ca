"""An account under all rules that look at it alone: one observation a request."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from services.core.anomalies import block_ratio, probing, velocity
from services.core.anomalies.alarm import Alarm, Rule
from services.core.anomalies.block_ratio import BlockRatio
from services.core.anomalies.probing import Topics
from services.core.anomalies.velocity import Velocity
from services.core.policy.anomaly_rules import AnomalyRules


@dataclass(frozen=True, slots=True)
class Watched:
    """All that is remembered of an account. `fired` says when each rule last did, in seconds since the epoch.

    `sealed`: something of it was sealed once, so that its alarms are for the sealed role alone.
    """

    velocity: Velocity = field(default_factory=Velocity)
    block_ratio: BlockRatio = field(default_factory=BlockRatio)
    topics: Topics = ()
    fired: Mapping[Rule, float] = field(default_factory=dict[Rule, float])
    sealed: bool = False


@dataclass(frozen=True, slots=True)
class Seen:
    """One request at `at` (seconds since the epoch); `sketch` is that of its prompt, empty where it has none."""

    at: float
    blocked: bool
    sketch: bytes = b""
    sealed: bool = False


def step(state: Watched, seen: Seen, rules: AnomalyRules) -> tuple[Watched, list[Alarm]]:
    """What one request adds, and the rules that fire at it.

    A refusal near to an earlier one is a try of the same thing: probing counts it, the ratio of refusals does not.
    """
    speed, fast = velocity.step(state.velocity, seen.at, rules.velocity)
    topics, again, probes = state.topics, False, None
    if seen.blocked:
        topics, again, probes = probing.step(state.topics, seen.sketch, seen.at, rules.probing)
    ratio, refused = state.block_ratio, None
    if not again:
        ratio, refused = block_ratio.step(state.block_ratio, int(seen.blocked), 1, rules.block_ratio)
    alarms = [alarm for alarm in (fast, refused, probes) if alarm and loud(alarm.rule, state.fired, seen.at, rules)]
    loudly = {**state.fired, **{alarm.rule: seen.at for alarm in alarms}}
    return Watched(speed, ratio, topics, loudly, state.sealed or seen.sealed), alarms


def fired(state: Watched, rule: Rule, at: float) -> Watched:
    """The state after a rule that is judged elsewhere fired."""
    return replace(state, fired={**state.fired, rule: at})


def loud(rule: Rule, when: Mapping[Rule, float], at: float, rules: AnomalyRules) -> bool:
    """Whether a rule may fire again at `at`; one that a clock far ahead made fire is no reason to be quiet."""
    last = when.get(rule)
    return last is None or abs(at - last) >= getattr(rules, rule).quiet_hours * 3600
