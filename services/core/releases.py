"""What people have released of a held request: a pure rule on its stops and their cases, for every room alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from services.core.errors import FailedPrecondition
from services.core.policy.floors import ALWAYS_BLOCK
from services.core.store.review_items import ReviewItem
from services.core.store.stops import Stop
from services.core.verdicts import Verdict


@dataclass(frozen=True, slots=True)
class Release:
    """A held stop that people let through, and the cases that say so."""

    stop: Stop
    items: tuple[ReviewItem, ...]


# A decision takes effect a moment after it can no longer be taken back: when the worker has come to it.
SOONEST_SECONDS = 1.0


def released(stops: Sequence[Stop], items: Sequence[ReviewItem], now: datetime) -> list[Release]:
    """The releases among `stops`, all that was held of one request; `items` are the cases of its decisions.

    A request goes on once every case is settled, and no further than people let it: a stop of the request itself that
    was upheld ends it, an output that was upheld stays behind alone. What is sealed is not spoken of. Raises
    FailedPrecondition with the reason NOT_HELD, UPHELD, NOT_RELEASED (undecided) or NOT_SETTLED (may still be taken
    back; with the seconds that are left of that at `now`, by Postgres' clock).
    """
    held = [Release(stop, _about(stop, items)) for stop in stops if _can_be_released(stop)]
    held = [one for one in held if not any(item.sealed for item in one.items)]
    if not held:
        raise FailedPrecondition("nothing of this decision waits for a release", reason="NOT_HELD")
    upheld = [one for one in held if any(item.settled_at and item.resolution == "uphold" for item in one.items)]
    outputs = [one for one in held if one.stop.stage == "output"]
    if any(one not in outputs for one in upheld) or (outputs and all(one in upheld for one in outputs)):
        raise FailedPrecondition("a person looked at this request and it stays refused", reason="UPHELD")
    if any(item.state != "decided" for one in held for item in one.items) or not all(one.items for one in held):
        raise FailedPrecondition("no person has released this request yet", reason="NOT_RELEASED")
    if open_until := [item.effective_at or now for one in held for item in one.items if item.settled_at is None]:
        raise FailedPrecondition(
            "this was decided just now and may still be taken back",
            reason="NOT_SETTLED",
            retry_after=max(SOONEST_SECONDS, (max(open_until) - now).total_seconds()),
        )
    return [one for one in held if one not in upheld]


def _can_be_released(stop: Stop) -> bool:
    """Never what was refused, and never what must always be refused, whatever the row says."""
    refused = any(reason.verdict is Verdict.BLOCK or reason.category in ALWAYS_BLOCK for reason in stop.reasons)
    return stop.held and stop.verdict is Verdict.REVIEW and not refused


def _about(stop: Stop, items: Sequence[ReviewItem]) -> tuple[ReviewItem, ...]:
    """The cases that the very content of a stop opened: they share its evidence."""
    content = (stop.decision_id, stop.stage, stop.prompt, stop.negative_prompt, stop.image, stop.mask)
    return tuple(
        item
        for item in items
        if (item.decision_id, item.stage, item.prompt, item.negative_prompt, item.image, item.mask) == content
        and item.kind == "content"
        and item.golden is None
    )
