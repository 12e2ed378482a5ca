from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.core.policy.review_rules import Queue, ReviewRules, Route
from services.core.store.review_items import ReviewItem
from services.core.verdicts import Reason, Verdict
from services.review.routing import route

RULES = ReviewRules()
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def an_item(category: str = "violence", score: float = 0.8, **changes: Any) -> ReviewItem:
    item = ReviewItem(
        item_id=UUID(int=1),
        decision_id=UUID(int=2),
        tenant="acme",
        account="user-1",
        stage="prompt",
        verdict=Verdict.REVIEW,
        reasons=(Reason(category, "says why", score, 0.5, Verdict.REVIEW),),
        held=True,
        sealed=False,
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
    return replace(item, **changes)


def routed(item: ReviewItem, *routes: Route, waited: timedelta = timedelta()) -> str:
    rules = ReviewRules(queues={"special": Queue(), "late": Queue()}, routes=list(routes))
    return route(item, rules, NOON + waited).queue


@pytest.mark.parametrize("held", [True, False])
def test_what_is_sealed_waits_apart(held: bool) -> None:
    assert route(an_item(held=held, sealed=True), RULES, NOON).queue == "sealed"


def test_no_route_leads_a_sealed_case_elsewhere() -> None:
    assert routed(an_item(sealed=True), Route(queue="special")) == "sealed"


def test_what_no_route_fits_waits_in_the_default_queue() -> None:
    assert routed(an_item(), Route(queue="special", held=False)) == "default"


def test_the_order_is_sealed_then_held_then_to_look_at() -> None:
    items = [an_item(held=False, sealed=True), an_item(held=True), an_item(held=False)]
    priorities = [route(item, RULES, NOON).priority for item in items]
    assert priorities == sorted(set(priorities))


def test_the_due_date_counts_from_the_decision() -> None:
    assert route(an_item(), RULES, NOON + 3 * HOUR).due_at == NOON + timedelta(hours=24)


@pytest.mark.parametrize(
    ("kind", "queue"), [("appeal", "appeals"), ("report", "reports"), ("suspension", "suspensions")]
)
def test_each_kind_has_a_queue_of_its_own(kind: str, queue: str) -> None:
    assert route(an_item(kind=kind), RULES, NOON).queue == queue


@pytest.mark.parametrize(
    ("says", "fitting", "other"),
    [
        ({"kinds": ["appeal"]}, {"kind": "appeal"}, {"kind": "report"}),
        ({"categories": ["violence"]}, {"category": "violence.graphic"}, {"category": "hate"}),
        ({"categories": ["violence.graphic"]}, {"category": "violence.graphic"}, {"category": "violence"}),
        ({"stages": ["output"]}, {"stage": "output"}, {"stage": "prompt"}),
        ({"tiers": ["new"]}, {"tier": "new"}, {"tier": "trusted"}),
        ({"verdicts": ["BLOCK"]}, {"verdict": Verdict.BLOCK}, {"verdict": Verdict.REVIEW}),
        ({"held": False}, {"held": False}, {"held": True}),
        ({"score_from": 0.7}, {"score": 0.7}, {"score": 0.69}),
    ],
    ids=lambda says: next(iter(says)),
)
def test_a_route_takes_what_fits_all_that_it_says(
    says: dict[str, Any], fitting: dict[str, Any], other: dict[str, Any]
) -> None:
    special = Route(queue="special", **says)

    assert (routed(an_item(**fitting), special), routed(an_item(**other), special)) == ("special", "default")


def test_of_two_routes_that_fit_the_first_is_taken() -> None:
    assert routed(an_item(), Route(queue="late"), Route(queue="special")) == "late"


def test_what_has_waited_so_long_is_moved_then_and_not_before() -> None:
    late = Route(queue="late", older_than_hours=6)

    assert routed(an_item(), late, waited=5.9 * HOUR) == "default"
    assert routed(an_item(), late, waited=6 * HOUR) == "late"


def test_an_item_knows_when_its_age_may_move_it() -> None:
    aged = [
        Route(queue="late", older_than_hours=hours, held=held) for hours, held in ((9, True), (6, True), (3, False))
    ]
    rules = ReviewRules(queues={"late": Queue()}, routes=[*aged, Route(queue="default")])

    moments = [route(an_item(), rules, NOON + waited).reroute_at for waited in (0 * HOUR, 6 * HOUR, 9 * HOUR)]

    assert moments == [NOON + 6 * HOUR, NOON + 9 * HOUR, None]


@given(early=st.integers(0, 9), late=st.integers(0, 9), later_by=st.floats(0, 200), ageing=st.floats(0, 24))
def test_nothing_waits_behind_what_comes_nine_levels_of_ageing_later(
    early: int, late: int, later_by: float, ageing: float
) -> None:
    def turn(priority: int, after: float) -> datetime:
        rules = ReviewRules(
            queues={"special": Queue(ageing_hours=ageing)}, routes=[Route(queue="special", priority=priority)]
        )
        return route(an_item(created_at=NOON + after * HOUR), rules, NOON).turn_at

    ahead = turn(early, 0) <= turn(late, later_by)

    assert ahead or later_by < 9 * ageing
