"""Credits on plain numbers: the month's first, packs for ever, nothing lost and nothing made."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.core.limits.credits import Credits
from services.core.policy.limit_rules import CreditRules

MAY, JUNE = date(2026, 5, 1), date(2026, 6, 1)
counts = st.integers(0, 100)


@pytest.mark.parametrize(
    ("month", "created", "allowance"),
    [(MAY, date(2026, 5, 31), 50), (JUNE, date(2026, 5, 31), 15), (JUNE, JUNE, 50)],
)
def test_the_month_of_the_first_request_gives_more(month: date, created: date, allowance: int) -> None:
    assert CreditRules().allowance(month, created) == allowance


def test_what_a_month_leaves_over_ends_with_it() -> None:
    assert Credits(MAY, 50, 10).at(JUNE, 15).left == 15


def test_packs_outlive_the_month() -> None:
    assert Credits(MAY, 50, 50, packs=20).at(JUNE, 15).left == 35


def test_packs_are_used_after_the_months_own() -> None:
    after = Credits(MAY, 15, 0, packs=20).take(18)

    assert after is not None
    assert after.at(JUNE, 15).left == 15 + 17


def test_a_clock_set_back_gives_no_month_twice() -> None:
    june = Credits(JUNE, 15, 15)

    assert june.at(MAY, 15).left == 0


def test_a_lower_allowance_takes_nothing_back_within_the_month() -> None:
    assert Credits(MAY, 50, 10).at(MAY, 15).left == 40


def test_nobody_takes_more_than_is_left() -> None:
    assert Credits(MAY, 3).take(4) is None


@given(counts, counts, st.integers(1, 4))
def test_what_is_given_back_in_its_month_leaves_no_trace(granted: int, packs: int, pictures: int) -> None:
    before = Credits(MAY, granted, 0, packs)
    after = before.take(pictures)

    assert after is None or after.give_back(pictures, MAY) == before


@given(counts, counts, st.integers(1, 4))
def test_what_is_given_back_after_its_month_is_kept_as_a_pack(granted: int, packs: int, pictures: int) -> None:
    before = Credits(MAY, granted, 0, packs)
    after = before.take(pictures)

    assert after is None or after.at(JUNE, 15).give_back(pictures, MAY).left >= 15 + packs


@given(st.lists(st.tuples(st.integers(1, 4), st.booleans(), st.integers(0, 20)), max_size=50), counts)
def test_over_months_nobody_uses_more_than_was_given_and_bought(
    steps: list[tuple[int, bool, int]], monthly: int
) -> None:
    held, given_in_all, used = Credits().at(date(2026, 1, 1), monthly), monthly, 0
    for number, (pictures, turn, bought) in enumerate(steps):
        if turn:
            held = held.at(date(2026 + number // 12 + 1, number % 12 + 1, 1), monthly)
            given_in_all += monthly
        held, given_in_all = held.add(bought), given_in_all + bought
        if (after := held.take(pictures)) is not None:
            held, used = after, used + pictures

    assert used <= given_in_all
