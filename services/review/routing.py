"""Where a case waits: its queue, its priority, and when a decision is due."""

from __future__ import annotations

from datetime import timedelta

from services.core.store.review_items import ReviewItem, Routing

DEFAULT_QUEUE = "default"
SEALED_QUEUE = "sealed"

SEALED_PRIORITY, SEALED_DUE = 0, timedelta(hours=4)
HELD_PRIORITY, HELD_DUE = 3, timedelta(hours=24)  # somebody waits for the answer
LOOK_PRIORITY, LOOK_DUE = 6, timedelta(hours=72)


def route(item: ReviewItem) -> Routing:
    """Sealed cases first and apart, then those that hold somebody up, then those to look at afterwards."""
    if item.sealed:
        return Routing(SEALED_QUEUE, SEALED_PRIORITY, item.created_at + SEALED_DUE)
    if item.held:
        return Routing(DEFAULT_QUEUE, HELD_PRIORITY, item.created_at + HELD_DUE)
    return Routing(DEFAULT_QUEUE, LOOK_PRIORITY, item.created_at + LOOK_DUE)
