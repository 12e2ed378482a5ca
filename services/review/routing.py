"""Where a case waits: its queue, its priority, when a decision is due, and when its turn comes.

Ageing: `turn_at`, an item's place in its queue, is when it was recorded plus `ageing_hours` for each level of priority.
Nobody starves: the place never changes while an item waits, and whatever comes more than 9 × `ageing_hours` after it
stands behind it, however urgent; so what is before it only gets less. Items of one priority stand oldest first.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from services.core.policy.review_rules import DEFAULT_QUEUE, SEALED_QUEUE, ReviewRules, Route
from services.core.store.review_items import ReviewItem
from services.core.store.routings import Routing

UNROUTED = Route(queue=DEFAULT_QUEUE)  # what holds where no route fits
SEALED = Route(queue=SEALED_QUEUE, priority=0)


def route(item: ReviewItem, rules: ReviewRules, now: datetime) -> Routing:
    """Sealed cases apart; for the others the first route of the policy that fits, else the queue `default`."""
    waited = now - item.created_at
    fitting = [chosen for chosen in rules.routes if fits(chosen, item)]
    chosen = SEALED if item.sealed else next((each for each in fitting if waited >= _age(each)), UNROUTED)
    queue = rules.queue(chosen.queue)
    priority = max(0, chosen.priority - item.urgency)
    later = [] if item.sealed else [age for each in fitting if (age := _age(each)) > waited]
    return Routing(
        queue=chosen.queue,
        priority=priority,
        due_at=item.created_at + timedelta(hours=queue.due_hours),
        turn_at=item.created_at + priority * timedelta(hours=queue.ageing_hours),
        reroute_at=item.created_at + min(later) if later else None,
    )


def fits(route: Route, item: ReviewItem) -> bool:
    """Whether a case is of the sort that a route takes, whatever its age."""
    score = max((reason.score for reason in item.reasons), default=0.0)
    return (
        (route.kinds is None or item.kind in route.kinds)
        and (route.categories is None or any(_within(reason.category, route.categories) for reason in item.reasons))
        and (route.stages is None or item.stage in route.stages)
        and (route.tiers is None or item.tier in route.tiers)
        and (route.verdicts is None or item.verdict.name in route.verdicts)
        and (route.held is None or item.held == route.held)
        and (route.score_from is None or score >= route.score_from)
    )


def _within(category: str, wanted: list[str]) -> bool:
    """Whether it is one of them, or a child of one."""
    return any(category == name or category.startswith(f"{name}.") for name in wanted)


def _age(route: Route) -> timedelta:
    return timedelta(hours=route.older_than_hours or 0.0)
