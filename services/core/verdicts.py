"""What the policy makes of signals: verdicts with their reasons."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Literal

from services.core.signals import Evidence

Tier = Literal["new", "trusted", "invited", "red_team"]

# The rule of a reason that is about the account's standing, not about the content.
ACCOUNT_HELD = "account-held"


class Verdict(IntEnum):
    """Ordered by severity; the numbers are those of the proto."""

    ALLOW = 1
    REVIEW = 2
    BLOCK = 3


@dataclass(frozen=True, slots=True)
class Reason:
    """One threshold or rule that fired; `threshold` is 0 where `rule` names a rule."""

    category: str
    message: str
    score: float
    threshold: float
    verdict: Verdict
    rule: str = ""
    evidence: tuple[Evidence, ...] = ()


@dataclass(frozen=True, slots=True)
class Judgement:
    """A verdict and everything that fired, most severe first.

    `held` is False where a REVIEW lets the content go on and a person looks later.
    """

    verdict: Verdict
    reasons: tuple[Reason, ...] = ()
    held: bool = True
