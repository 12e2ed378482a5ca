from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from services.core.policy.review_rules import ReviewRules
from services.core.store.review_items import ReviewItem
from services.core.verdicts import Verdict
from services.review.routing import route

RULES = ReviewRules()
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def an_item(*, held: bool, sealed: bool) -> ReviewItem:
    return ReviewItem(
        item_id=UUID(int=1),
        decision_id=UUID(int=2),
        tenant="acme",
        account="user-1",
        stage="prompt",
        verdict=Verdict.REVIEW,
        reasons=(),
        held=held,
        sealed=sealed,
        prompt=None,
        negative_prompt=None,
        image=None,
        mask=None,
        state="pending",
        queue="",
        priority=9,
        created_at=NOON,
        due_at=None,
        claimed_by=None,
        claim_expires_at=None,
        resolution=None,
        decided_by=None,
        decided_at=None,
        turn_at=NOON,
    )


@pytest.mark.parametrize("held", [True, False])
def test_what_is_sealed_waits_apart(held: bool) -> None:
    assert route(an_item(held=held, sealed=True), RULES, NOON).queue == "sealed"


def test_everything_else_waits_in_the_default_queue() -> None:
    assert route(an_item(held=True, sealed=False), RULES, NOON).queue == "default"


def test_the_order_is_sealed_then_held_then_to_look_at() -> None:
    items = [an_item(held=False, sealed=True), an_item(held=True, sealed=False), an_item(held=False, sealed=False)]
    priorities = [route(item, RULES, NOON).priority for item in items]
    assert priorities == sorted(set(priorities))


def test_the_due_date_counts_from_the_decision() -> None:
    assert route(an_item(held=True, sealed=False), RULES, NOON).due_at == NOON + timedelta(hours=24)
