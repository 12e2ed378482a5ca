"""What holds for an account: the hardest of what its strikes lead to and of what was imposed. Pure functions."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from services.core.policy.standing_rules import StandingRules
from services.core.standing.ladder import STANDINGS, Sanction, Standing
from services.core.store.accounts import Account


def enforced(step: Standing, rules: StandingRules) -> bool:
    """Whether the policy lets strikes lead to this step, or only records in shadow that they would."""
    return bool(getattr(rules.ladder, step).mode == "enforce")


def hardest(known: Account, found: Iterable[Sanction], rules: StandingRules, now: datetime) -> Sanction:
    """The sanction that holds now (UTC); `found` is all that the ladder makes of its strikes, also in shadow."""
    steps = [each for each in found if enforced(each.step, rules)]
    return max([*steps, *_imposed(known, now)], key=_rank, default=Sanction("good", now, None))


def settled(known: Account, holds: Sanction, now: datetime) -> Account:
    """The account in the standing that holds; what was imposed and has ended is forgotten."""
    return replace(
        known,
        standing=holds.step,
        standing_until=holds.until,
        standing_since=known.standing_since if unchanged(known, holds, now) else now,
        standing_reason=holds.category,
        imposed=known.imposed if _imposed(known, now) else None,
    )


def unchanged(known: Account, holds: Sanction, now: datetime) -> bool:
    """Whether what holds is the standing on record, which has not ended."""
    return holds.step == known.standing and not known.ended(now)


def imposed(known: Account, step: Standing, until: datetime | None, reason: str) -> Account:
    """The account with a step imposed on it, in place of what was."""
    return replace(known, imposed=step, imposed_until=until, imposed_reason=reason)


def pardoned(known: Account, now: datetime) -> Account:
    """The account with nothing imposed on it, and no step that it reached by now holding any more."""
    return replace(known, pardoned_at=now, imposed=None, imposed_until=None, imposed_reason="")


def outweighed(known: Account, step: Standing, until: datetime | None, now: datetime) -> bool:
    """Whether what is imposed already is as hard for as long."""
    return any(_rank(each) >= _rank(Sanction(step, now, until)) for each in _imposed(known, now))


def _imposed(known: Account, now: datetime) -> list[Sanction]:
    """What a person or a rule put it to, while it holds."""
    if known.imposed is None or (known.imposed_until is not None and known.imposed_until <= now):
        return []
    return [Sanction(known.imposed, now, known.imposed_until, known.imposed_reason)]


def _rank(sanction: Sanction) -> tuple[int, float]:
    end = sanction.until.timestamp() if sanction.until else float("inf")
    return STANDINGS.index(sanction.step), end
