"""Which strike a refusal or a person's word leads to."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

import pytest

from services.core.policy.categories import Stage
from services.core.policy.standing_rules import StandingRules
from services.core.standing.violations import of_item, of_stops
from services.core.store.review_items import Kind, Resolution, ReviewItem
from services.core.store.stops import Stop
from services.core.verdicts import ACCOUNT_HELD, Reason, Tier, Verdict

RULES = StandingRules()
SEALS = frozenset({"sexual.minors"})
DECISION = UUID(int=7)
NOW = datetime(2026, 6, 1, tzinfo=UTC)


def reason(category: str, verdict: Verdict = Verdict.BLOCK, rule: str = "") -> Reason:
    return Reason(category, "says why", 0.9, 0.8, verdict, rule)


def stop(*reasons: Reason, stage: Stage = "prompt", verdict: Verdict = Verdict.BLOCK) -> Stop:
    return Stop(DECISION, 0, "acme", "user-1", stage, 0, verdict, False, reasons, (), (), "ab" * 32, {}, b"")


def item(
    *reasons: Reason,
    kind: Kind = "content",
    stage: Stage = "prompt",
    resolution: Resolution = "uphold",
    tier: Tier = "new",
) -> ReviewItem:
    return ReviewItem(
        item_id=UUID(int=1),
        decision_id=DECISION,
        tenant="acme",
        account="user-1",
        stage=stage,
        verdict=Verdict.REVIEW,
        reasons=reasons,
        held=True,
        sealed=False,
        prompt=None,
        negative_prompt=None,
        image=None,
        mask=None,
        state="decided",
        queue="default",
        priority=3,
        created_at=NOW,
        due_at=NOW,
        claimed_by=None,
        claim_expires_at=None,
        resolution=resolution,
        decided_by="analyst/ann",
        decided_at=NOW,
        turn_at=NOW,
        kind=kind,
        tier=tier,
    )


def test_a_request_gives_one_strike_for_its_gravest() -> None:
    stops = [stop(reason("spam"), reason("violence")), stop(reason("political"), stage="upload")]

    strike = of_stops(stops, RULES, SEALS)

    assert strike is not None
    assert (strike.category, strike.weight, strike.source) == ("violence", 1.0, "blocked")


@pytest.mark.parametrize(
    "stops",
    [
        [],
        [stop(reason("language"))],
        [stop(reason("violence", Verdict.REVIEW), verdict=Verdict.REVIEW)],
        [stop(reason("violence"), stage="output")],
        [stop(reason("realistic_face"), reason("violence", Verdict.REVIEW), stage="upload")],
    ],
    ids=["nothing", "weighs nothing", "held", "the screen's", "what weighs was only in doubt"],
)
def test_what_gives_no_strike(stops: list[Stop]) -> None:
    assert of_stops(stops, RULES, SEALS) is None


def test_a_strike_of_a_sealed_case_is_sealed() -> None:
    strike = of_stops([stop(reason("violence"), reason("sexual.minors", Verdict.REVIEW))], RULES, SEALS)

    assert strike is not None
    assert strike.sealed


@pytest.mark.parametrize(
    ("case", "weight", "source"),
    [
        (item(reason("violence", Verdict.REVIEW)), 2.0, "upheld"),
        (item(reason("violence", Verdict.REVIEW), stage="output"), 1.0, "upheld"),
        (item(reason("violence"), kind="report", stage="output"), 3.0, "reported"),
    ],
)
def test_what_a_person_upholds_weighs_more(case: ReviewItem, weight: float, source: str) -> None:
    strike = of_item(case, RULES, SEALS)

    assert strike is not None
    assert (strike.weight, strike.source, strike.decision_id) == (weight, source, DECISION)


def test_the_standing_itself_is_not_held_against_an_account_where_there_is_more() -> None:
    held = reason("hate", Verdict.REVIEW, ACCOUNT_HELD)

    strike = of_item(item(held, reason("spam", Verdict.REVIEW), stage="output"), RULES, SEALS)

    assert strike is not None
    assert strike.category == "spam"


@pytest.mark.parametrize(
    "case",
    [
        item(reason("violence"), resolution="release"),
        item(reason("violence"), tier="red_team"),
        item(reason("violence"), kind="appeal"),
        item(reason("violence"), kind="suspension"),
        item(),
    ],
    ids=["released", "tester", "appeal", "suspension", "no reason"],
)
def test_what_a_person_decides_without_a_strike(case: ReviewItem) -> None:
    assert of_item(case, RULES, SEALS) is None
