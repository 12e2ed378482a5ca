"""What a call is charged: the limits of a policy that it touches, each with the key under which it is counted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from services.core.policy.limit_rules import Limit, Operation, Per
from services.core.verdicts import Tier


@dataclass(frozen=True, slots=True)
class Use:
    """What a call would use: `pictures` of `side` pixels a side (0 for calls that make none)."""

    operation: Operation
    pictures: int = 0
    side: int = 0


@dataclass(frozen=True, slots=True)
class Who:
    """For whom. Either an account with its tier asks, or a reporter complains."""

    tenant: str
    account: str = ""
    tier: Tier | None = None
    reporter: str = ""

    def subject(self, per: Per) -> str:
        """The one whom a limit of this kind counts; empty where the call has none."""
        if per == "account":
            return self.account
        return self.tenant if per == "tenant" else self.reporter


class Charge(NamedTuple):
    """What one call takes of one limit of one subject: calls or pixels; a slot of calls at once counts as one unit."""

    name: str
    key: str
    subject: str
    limit: Limit
    units: int


def binding(named: Mapping[str, Limit], who: Who) -> list[Charge]:
    """Every limit that binds this subject, whatever it does, in the order of their keys; nothing is taken (0 units)."""
    tier = who.tier
    bound = (
        Charge(name, _key(name, limit, who, subject), subject, limit, 0)
        for name, limit in named.items()
        if (subject := who.subject(limit.per)) and (limit.tiers is None or tier in limit.tiers)
    )
    return sorted(bound, key=lambda each: each.name)


def charges(named: Mapping[str, Limit], use: Use, who: Who) -> list[Charge]:
    """What a call takes of each limit that it touches."""
    pixels = use.pictures * use.side * use.side
    found = []
    for name, limit in named.items():
        units = pixels if limit.kind == "pixels" else 1
        if units and (subject := who.subject(limit.per)) and limit.touches(use.operation, who.tier):
            found.append(Charge(name, _key(name, limit, who, subject), subject, limit, units))
    return found


def _key(name: str, limit: Limit, who: Who, subject: str) -> str:
    # Neither a tenant nor a limit has a slash in its name, so that no two subjects share a key.
    return f"{who.tenant}/{name}/{subject if limit.per != 'tenant' else ''}"
