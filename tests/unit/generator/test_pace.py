"""How many rows share a pass, and what that is reckoned from."""

from __future__ import annotations

import time

import pytest

from services.generator.pace import GROW_AFTER, Pace, profile

LINEAR = {1: 0.1, 2: 0.2, 4: 0.4}
GAINING = {1: 0.10, 2: 0.11, 4: 0.13, 8: 0.16, 16: 0.32}


def test_where_batching_does_not_pay_one_row_is_the_cap() -> None:
    assert Pace(LINEAR).cap == 1


def test_the_cap_is_the_smallest_batch_near_the_best_throughput() -> None:
    assert Pace(GAINING).cap == 8


def test_a_pass_between_two_measured_ones_lies_between_them() -> None:
    assert Pace(GAINING).seconds(6) == pytest.approx(0.145)


def test_more_rows_than_the_cap_take_several_passes() -> None:
    assert Pace(GAINING).seconds(10) == pytest.approx(0.16 + 0.11)


def test_it_learns_that_passes_have_become_slower() -> None:
    pace = Pace(GAINING)
    for _ in range(100):
        pace.passed(8, 0.32)
    assert pace.seconds(4) == pytest.approx(0.26, rel=0.01)


def test_what_was_slow_is_forgotten_when_there_is_nothing_to_do() -> None:
    pace = Pace(GAINING)
    pace.passed(8, 1.6)
    pace.rest()
    assert pace.seconds(8) == pytest.approx(0.16)


def test_what_was_measured_on_a_busy_machine_does_not_refuse_for_ever() -> None:
    pace = Pace(GAINING)
    for _ in range(20):
        pace.doubt()
    pace.rest()
    assert pace.seconds(8) < 0.02


def test_lack_of_memory_halves_the_cap_down_to_one() -> None:
    pace = Pace(GAINING)
    assert [pace.shrink(8), pace.cap] == [True, 4]
    assert [pace.shrink(3), pace.cap] == [True, 1]
    assert not pace.shrink(1)


def test_the_cap_grows_back_once_memory_has_sufficed_for_long() -> None:
    pace = Pace(GAINING)
    pace.shrink(8)
    for _ in range(GROW_AFTER):
        pace.passed(4, 0.13)
    assert pace.cap == 5


def test_a_profile_ends_where_more_rows_bring_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0

    def one_pass(rows: int) -> None:
        nonlocal now
        now += 0.01 * max(rows, 4)

    monkeypatch.setattr(time, "perf_counter", lambda: now)
    taken = profile(one_pass)
    assert max(taken) == 16
    assert Pace(taken).cap == 4


def test_a_profile_ends_with_the_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0

    def one_pass(rows: int) -> None:
        nonlocal now
        now += 10.0

    monkeypatch.setattr(time, "perf_counter", lambda: now)
    assert list(profile(one_pass)) == [1]


def test_a_profile_ends_where_memory_does() -> None:
    def one_pass(rows: int) -> None:
        if rows > 4:
            raise MemoryError

    assert list(profile(one_pass)) == [1, 2, 4]


def test_a_model_that_cannot_run_at_all_is_no_model() -> None:
    def one_pass(rows: int) -> None:
        raise MemoryError

    with pytest.raises(MemoryError):
        profile(one_pass)
