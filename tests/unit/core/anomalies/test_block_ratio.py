from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.core.anomalies.block_ratio import FLOOR, BlockRatio, step
from services.core.policy.anomaly_rules import AccountBlockRatioRule, TenantBlockRatioRule

RULE = AccountBlockRatioRule()


def play(state: BlockRatio, refusals: list[bool]) -> tuple[BlockRatio, list[int]]:
    """The state after these requests, and at which of them the rule was alarmed."""
    alarmed: list[int] = []
    for place, blocked in enumerate(refusals):
        state, alarm = step(state, int(blocked), 1, RULE)
        alarmed += [place] if alarm else []
    return state, alarmed


def share(of: float, number: int, seed: int) -> list[bool]:
    chance = random.Random(seed)
    return [chance.random() < of for _ in range(number)]


def test_half_of_all_requests_refused_is_seen_within_twenty() -> None:
    _, alarmed = play(BlockRatio(), [True, False] * 10)

    assert alarmed
    assert alarmed[0] < 20


@pytest.mark.parametrize("seed", range(5))
def test_a_usual_share_of_refusals_does_not_alarm(seed: int) -> None:
    _, alarmed = play(BlockRatio(), share(0.02, 2000, seed))

    assert alarmed == []


def test_three_refusals_in_a_row_prove_nothing() -> None:
    _, alarmed = play(BlockRatio(), [False] * 20 + [True] * 3)

    assert alarmed == []


def test_an_attack_does_not_become_the_normal() -> None:
    honest, _ = play(BlockRatio(), share(0.02, 1000, 1))

    attacked, alarmed = play(honest, [True, False, False] * 200)

    assert attacked.usual is not None
    assert honest.usual is not None
    assert attacked.usual < 2 * honest.usual + 0.02
    assert len(alarmed) > 500


def test_an_attack_that_rises_slowly_meets_the_ceiling() -> None:
    state = BlockRatio()
    for percent in range(2, 60):
        state, alarmed = play(state, share(percent / 100, 100, percent))

    assert alarmed


def test_good_conduct_ends_the_alarm() -> None:
    attacked, _ = play(BlockRatio(), [True] * 500)

    _, alarmed = play(attacked, [False] * 300)

    assert len(alarmed) < 300


def test_the_explanation_gives_the_numbers() -> None:
    state = BlockRatio()
    alarm = None
    while alarm is None:
        state, alarm = step(state, 1, 1, RULE)

    assert alarm.explanation == "5 of the last 5 requests were refused (100%); 3.0% are usual."


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(1, 50)), max_size=50))
def test_the_sum_stays_in_its_bounds_whatever_is_seen(batches: list[tuple[int, int]]) -> None:
    rule = TenantBlockRatioRule()
    state = BlockRatio()

    for blocked, requests in batches:
        state, _ = step(state, min(blocked, requests), requests, rule)

    assert 0 <= state.score <= 2 * rule.alarm
    assert state.usual is None or 0 <= state.usual <= 1
    assert rule.usual > FLOOR


@given(st.integers(1, 40), st.integers(0, 40))
def test_one_refusal_among_any_number_of_requests_never_alarms(before: int, after: int) -> None:
    _, alarmed = play(BlockRatio(), [False] * before + [True] + [False] * after)

    assert alarmed == []
