"""From strikes to a standing: a pure function of the history, the rules, the time and a secret.

A strike's weight halves with each half-life. A strike that brings the sum to a step's weight puts the account there for
the step's time; the hardest step that holds is the standing. So a further strike never leads to a milder standing, time
alone never to a harder one, and a strike that is left out was never given.
"""

from __future__ import annotations

import hashlib
import hmac
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Literal, get_args
from uuid import UUID

from services.core.policy.standing_rules import StandingRules, Step

Standing = Literal["good", "warned", "cooling", "held", "suspended", "banned"]
STANDINGS: tuple[Standing, ...] = get_args(Standing)  # from the mildest to the hardest

Rung = Literal["warned", "cooling", "held", "suspended"]
RUNGS: tuple[Rung, ...] = get_args(Rung)

# Ends are told to the quarter of an hour, so that they say little of when exactly they began.
ROUND_SECONDS = 900
# After so many half-lives nothing is left of a strike that could be told apart from nothing.
HALF_LIVES = 20
ROUNDING = 1e-12  # of sums of floats


@dataclass(frozen=True, slots=True)
class Strike:
    """A violation on record that was not taken back; `weight` is what it weighed at `at` (UTC)."""

    decision_id: UUID
    at: datetime
    weight: float
    category: str
    sealed: bool = False


@dataclass(frozen=True, slots=True)
class Jitter:
    """By how much one account's ladder differs from the policy's: the same at each call, unknown without the secret.

    HMAC-SHA256 of the account under the house's secret, read as a number in [0, 1).
    """

    secret: bytes
    tenant: str
    account: str

    def factor(self, share: float, *about: str) -> float:
        """A number in [1 − share, 1 + share) that belongs to this account and to what it is `about`."""
        said = "\0".join((self.tenant, self.account, *about)).encode()
        number = int.from_bytes(hmac.digest(self.secret, said, hashlib.sha256)[:7]) / 2**56
        return 1 - share + 2 * share * number


@dataclass(frozen=True, slots=True)
class Sanction:
    """A step that holds until a time (None: without end), since the strike or the word that led to it.

    `repeated`: the weight would be enough for a ban, if a person says so.
    """

    step: Standing
    since: datetime
    until: datetime | None
    category: str = ""
    repeated: bool = False


def harder(one: Standing, other: Standing) -> bool:
    """Whether the first is the harder standing."""
    return STANDINGS.index(one) > STANDINGS.index(other)


def weigh(strikes: Iterable[Strike], rules: StandingRules) -> Iterator[tuple[Strike, float]]:
    """Each strike in order of time with the sum of decayed weights right after it.

    A decision counts once, for the gravest that was found in it, however many strikes it led to.
    """
    total = 0.0
    latest: datetime | None = None
    counted: dict[UUID, tuple[float, datetime]] = {}
    for strike in sorted(strikes, key=lambda strike: strike.at):
        total *= _left(latest or strike.at, strike.at, rules)
        latest = strike.at
        weight, at = counted.get(strike.decision_id, (0.0, strike.at))
        left = weight * _left(at, strike.at, rules)
        if strike.weight > left:
            total += strike.weight - left
            counted[strike.decision_id] = strike.weight, strike.at
        yield strike, total


def score(strikes: Iterable[Strike], rules: StandingRules, now: datetime) -> float:
    """The sum of decayed weights now."""
    total, at = 0.0, now
    for strike, sum_then in weigh((strike for strike in strikes if strike.at <= now), rules):
        total, at = sum_then, strike.at
    return total * _left(at, now, rules)


def sanctions(
    strikes: Sequence[Strike],
    rules: StandingRules,
    now: datetime,
    jitter: Jitter,
    pardoned_at: datetime | None = None,
) -> list[Sanction]:
    """Every step that holds now, hardest first; steps in shadow are among them.

    What led to a step up to `pardoned_at` holds no more, but the strikes keep their weight.
    """
    ends: dict[Rung, Sanction] = {}
    weights = {name: threshold(name, rules, jitter) for name in (*RUNGS, "banned")}
    for strike, total in weigh((strike for strike in strikes if strike.at <= now), rules):
        if pardoned_at is not None and strike.at <= pardoned_at:
            continue
        for name in RUNGS:
            if total * (1 + ROUNDING) < weights[name]:
                break
            if strike.at + _longest(name, rules) <= now:
                continue
            end = _end(name, strike, rules, jitter)
            if end > now:
                found = Sanction(name, strike.at, end, _public(strike), total >= weights["banned"])
                ends[name] = _longer(ends[name], found) if name in ends else found
    return [ends[name] for name in reversed(RUNGS) if name in ends]


def peak(strikes: Iterable[Strike], rules: StandingRules) -> float:
    """The highest sum of decayed weights that there ever was."""
    return max((total for _, total in weigh(strikes, rules)), default=0.0)


def threshold(name: str, rules: StandingRules, jitter: Jitter) -> float:
    """From which decayed weight on this account reaches a step. One factor for all steps: their order stays."""
    return float(getattr(rules.ladder, name).weight) * jitter.factor(rules.jitter, "weight")


def horizon(rules: StandingRules) -> timedelta:
    """How far back strikes can still matter."""
    return timedelta(days=rules.half_life_days * HALF_LIVES) + max(_longest(name, rules) for name in RUNGS)


def _longest(name: Rung, rules: StandingRules) -> timedelta:
    hours = _step(name, rules).hours * (1 + rules.jitter)
    return timedelta(hours=hours, seconds=ROUND_SECONDS)


def _step(name: Rung, rules: StandingRules) -> Step:
    step: Step = getattr(rules.ladder, name)
    return step


def _end(name: Rung, strike: Strike, rules: StandingRules, jitter: Jitter) -> datetime:
    hours = _step(name, rules).hours * jitter.factor(rules.jitter, name, strike.at.astimezone(UTC).isoformat())
    return _rounded_up(strike.at + timedelta(hours=hours))


def _longer(earlier: Sanction, later: Sanction) -> Sanction:
    """One step for both: since the first, until the last end."""
    longest = max(earlier, later, key=_until)
    return replace(longest, since=earlier.since, repeated=earlier.repeated or later.repeated)


def _rounded_up(at: datetime) -> datetime:
    return datetime.fromtimestamp(math.ceil(at.timestamp() / ROUND_SECONDS) * ROUND_SECONDS, UTC)


def _left(then: datetime, now: datetime, rules: StandingRules) -> float:
    """What is left of a weight of 1."""
    days = (now - then) / timedelta(days=1)
    return math.exp2(-max(0.0, days) / rules.half_life_days)


def _until(sanction: Sanction) -> datetime:
    assert sanction.until is not None, "the ladder's own steps all end"
    return sanction.until


def _public(strike: Strike) -> str:
    """What its platform and the desk may know of it."""
    return "conduct" if strike.sealed else strike.category
