"""The ladder as a function: what more strikes, time, jitter and reversal can and cannot do."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.core.policy.standing_rules import StandingRules
from services.core.standing.ladder import (
    ROUND_SECONDS,
    STANDINGS,
    Jitter,
    Standing,
    Strike,
    sanctions,
    score,
    threshold,
)

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
STEADY = StandingRules(jitter=0.0)
JITTERY = StandingRules(jitter=0.3)

ages = st.floats(0, 90, allow_nan=False)
strikes = st.builds(
    lambda number, age, weight: Strike(UUID(int=number), NOW - timedelta(days=age), weight, "hate"),
    st.integers(0, 12),
    ages,
    st.floats(0.05, 8, allow_nan=False),
)
histories = st.lists(strikes, max_size=25)
jitters = st.builds(Jitter, st.binary(min_size=32, max_size=32), st.just("acme"), st.sampled_from(["a", "b", "c"]))


def jitter(account: str = "user-1") -> Jitter:
    return Jitter(b"k" * 32, "acme", account)


def many(count: int, weight: float = 1.0, at: datetime = NOW) -> list[Strike]:
    return [Strike(UUID(int=number), at, weight, "hate") for number in range(count)]


def standing(
    history: list[Strike], at: datetime = NOW, by: Jitter | None = None, rules: StandingRules = STEADY
) -> Standing:
    return next((each.step for each in sanctions(history, rules, at, by or jitter())), "good")


@pytest.mark.parametrize(
    ("count", "step"), [(0, "good"), (2, "good"), (3, "warned"), (5, "cooling"), (8, "held"), (12, "suspended")]
)
def test_a_step_is_reached_with_its_weight(count: int, step: Standing) -> None:
    assert standing(many(count)) == step


@given(histories, strikes, jitters)
def test_one_more_strike_never_leads_to_a_milder_standing(history: list[Strike], more: Strike, by: Jitter) -> None:
    before = standing(history, by=by, rules=JITTERY)

    after = standing([*history, more], by=by, rules=JITTERY)

    assert STANDINGS.index(after) >= STANDINGS.index(before)


@given(histories, st.lists(st.floats(0, 200), min_size=2, max_size=2), jitters)
def test_time_alone_never_leads_to_a_harder_standing(history: list[Strike], days: list[float], by: Jitter) -> None:
    earlier, later = (NOW + timedelta(days=each) for each in sorted(days))

    now, then = (standing(history, at, by, JITTERY) for at in (earlier, later))

    assert STANDINGS.index(then) <= STANDINGS.index(now)
    assert score(history, JITTERY, later) <= score(history, JITTERY, earlier) + 1e-9


@given(jitters, st.sampled_from(["warned", "cooling", "held", "suspended"]))
def test_thresholds_and_times_stay_within_the_jitter(by: Jitter, step: Standing) -> None:
    rung = getattr(JITTERY.ladder, step)
    (found,) = (each for each in sanctions(many(1, 500.0), JITTERY, NOW, by) if each.step == step)
    assert found.until is not None

    hours = (found.until - NOW) / timedelta(hours=1)
    weight = threshold(step, JITTERY, by)

    assert 0.7 * rung.weight <= weight < 1.3 * rung.weight
    assert 0.7 * rung.hours <= hours < 1.3 * rung.hours + ROUND_SECONDS / 3600


@given(histories, jitters)
def test_the_same_history_gives_the_same_answer_each_time(history: list[Strike], by: Jitter) -> None:
    again = sanctions(list(reversed(history)), JITTERY, NOW, by)

    assert [each.step for each in again] == [each.step for each in sanctions(history, JITTERY, NOW, by)]


def test_accounts_differ_in_their_thresholds() -> None:
    found = {threshold("suspended", JITTERY, jitter(f"user-{number}")) for number in range(20)}

    assert len(found) == 20


def test_another_secret_gives_other_thresholds() -> None:
    ours, theirs = jitter(), Jitter(b"x" * 32, "acme", "user-1")

    assert threshold("held", JITTERY, ours) != threshold("held", JITTERY, theirs)


def test_half_of_a_strike_is_left_after_a_half_life() -> None:
    assert score(many(1, 4.0), STEADY, NOW + timedelta(days=30)) == pytest.approx(2.0)


def test_a_decision_counts_once_for_the_gravest_that_was_found_in_it() -> None:
    found = [Strike(UUID(int=1), NOW, weight, "hate") for weight in (1.0, 2.0, 1.5)]

    assert score(found, STEADY, NOW) == pytest.approx(2.0)


def test_a_cool_down_ends_into_a_warning_though_the_strikes_still_weigh_as_much() -> None:
    history = many(6)

    after = standing(history, NOW + timedelta(hours=13))

    assert (standing(history), after) == ("cooling", "warned")


def test_a_strike_after_a_cool_down_leads_to_another() -> None:
    history = [*many(6), Strike(UUID(int=99), NOW + timedelta(hours=20), 1.0, "hate")]

    assert standing(history, NOW + timedelta(hours=20)) == "cooling"


def test_a_pardon_ends_what_holds_and_leaves_the_weight() -> None:
    history = many(12)

    pardoned = sanctions(history, STEADY, NOW + timedelta(hours=1), jitter(), NOW)

    assert pardoned == []
    assert score(history, STEADY, NOW) == pytest.approx(12.0)


def test_what_is_enough_for_a_ban_only_says_so() -> None:
    (worst, *_) = sanctions(many(31), STEADY, NOW, jitter())

    assert (worst.step, worst.repeated) == ("suspended", True)


def test_a_sealed_strike_is_not_named() -> None:
    (found, *_) = sanctions([Strike(UUID(int=1), NOW, 4.0, "sexual.minors", sealed=True)], STEADY, NOW, jitter())

    assert found.category == "conduct"
