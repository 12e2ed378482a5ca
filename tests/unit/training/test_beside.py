"""Which candidates may go on trial without a person."""

from __future__ import annotations

import pytest

from training.prompt_filter import beside


@pytest.mark.parametrize(
    ("flagged", "found", "fit"),
    [(0.010, 40, True), (0.014, 40, True), (0.016, 40, False), (0.010, 37, False), (0.010, 39, True)],
    ids=["as before", "a few flagged more", "many flagged more", "violations lost", "one violation lost"],
)
def test_a_candidate_that_is_worse_on_texts_of_our_own_is_not_fit(flagged: float, found: int, fit: bool) -> None:
    harmless = {"texts": 1000, "active": 0.01, "candidate": flagged}
    violence = {"violations": {"texts": 50, "active": 40, "candidate": found}}
    spam = {"others": {"texts": 100, "active": 1, "candidate": 1}}
    assert beside.is_fit(harmless, {"violence": violence, "spam": spam}) is fit


def test_the_texts_that_hold_it_back_are_not_those_that_judge_it() -> None:
    known, judging = beside.own_texts()
    assert set(known["text"]).isdisjoint(judging["text"])
