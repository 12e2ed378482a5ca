"""Rings: accounts of a tenant that share devices or means of payment, found as a component of a graph within bounds."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from services.core.anomalies.alarm import Alarm
from services.core.policy.anomaly_rules import RingRule


@dataclass(frozen=True, slots=True)
class Member:
    """An account of a ring: the weight of its strikes, and whether it is suspended or banned."""

    strikes: float
    suspended: bool


def ring(account: str, links: Iterable[tuple[str, bytes]], rule: RingRule) -> frozenset[str]:
    """The accounts reached from `account` over what at most `shared_by` accounts share; nearest first up to `size`.

    `links` are (account, hash). The account itself is always one of them.
    """
    sharers: dict[bytes, set[str]] = defaultdict(set)
    shares: dict[str, set[bytes]] = defaultdict(set)
    for who, what in links:
        sharers[what].add(who)
        shares[who].add(what)
    found = {account: None}
    edge = [account]
    while edge and len(found) < rule.size:
        telling = {what for who in edge for what in shares[who] if len(sharers[what]) <= rule.shared_by}
        edge = sorted({who for what in telling for who in sharers[what]} - found.keys())[: rule.size - len(found)]
        found |= dict.fromkeys(edge)
    return frozenset(found)


def judge(members: Mapping[str, Member], rule: RingRule) -> Alarm | None:
    """Whether the strikes of a ring, the account itself included, are too many together."""
    struck = [member.strikes for member in members.values() if member.strikes > 0]
    together = sum(struck)
    if len(struck) < rule.members or together < rule.strikes:
        return None
    return Alarm(
        "rings",
        f"{len(members)} accounts share devices or means of payment; {len(struck)} of them have strikes that weigh"
        f" {together:.1f} together, and {rule.strikes:g} are the bound.",
        {"accounts": len(members), "struck": len(struck), "strikes": round(together, 2), "bound": rule.strikes},
    )


def judge_newcomer(members: Mapping[str, Member], rule: RingRule) -> Alarm | None:
    """Whether an account that has just been seen starts under watch: at least `members` of its ring are suspended."""
    suspended = sum(member.suspended for member in members.values())
    if suspended < rule.members:
        return None
    return Alarm(
        "rings",
        f"A new account that shares devices or means of payment with {suspended} suspended ones.",
        {"accounts": len(members), "suspended": suspended, "bound": rule.members},
    )
