"""Where a case waits: its queue, its priority, when a decision is due, and when its turn comes."""

from __future__ import annotations

from datetime import timedelta

from services.core.policy.review_rules import SEALED_QUEUE, ReviewRules
from services.core.store.review_items import ReviewItem, Routing


def route(item: ReviewItem, rules: ReviewRules) -> Routing:
    """Sealed cases apart; for the others the first route of the policy that fits."""
    name, priority = (SEALED_QUEUE, 0) if item.sealed else ("default", 3 if item.held else 6)
    queue = rules.queues[name]
    priority = max(0, priority - item.urgency)
    turn_at = item.created_at + priority * timedelta(hours=queue.ageing_hours)
    return Routing(name, priority, item.created_at + timedelta(hours=queue.due_hours), turn_at)
