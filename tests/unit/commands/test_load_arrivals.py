"""When requests of a load arrive."""

from __future__ import annotations

from itertools import pairwise
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.commands.load_arrivals import poisson, recorded_times


@given(st.floats(0.1, 200), st.floats(0.1, 20), st.integers())
def test_arrivals_go_forward_and_stay_within_the_run(rate, seconds, seed):
    times = list(poisson(rate, seconds, Random(seed)))
    assert times == sorted(times)
    assert all(0 < at < seconds for at in times)


def test_arrivals_come_at_the_rate_and_forget_what_was_before():
    times = list(poisson(50, 200, Random(7)))
    pauses = [later - earlier for earlier, later in pairwise(times)]
    mean = sum(pauses) / len(pauses)
    deviation = (sum((pause - mean) ** 2 for pause in pauses) / len(pauses)) ** 0.5
    assert len(times) == pytest.approx(10_000, rel=0.03)
    assert deviation == pytest.approx(mean, rel=0.05)  # exponential: as wide as long
    halves = sum(b > mean for a, b in pairwise(pauses) if a > mean) / sum(pause > mean for pause in pauses)
    assert halves == pytest.approx(0.368, abs=0.03)  # a long pause makes no long pause


def test_the_same_seed_makes_the_same_arrivals():
    assert list(poisson(5, 10, Random(1))) == list(poisson(5, 10, Random(1)))


def test_recorded_times_count_from_the_first():
    assert list(recorded_times([100.0, 100.5, 103.0])) == [0.0, 0.5, 3.0]


def test_recorded_times_that_go_back_are_refused():
    with pytest.raises(ValueError, match="go back"):
        recorded_times([1.0, 0.5])


def test_a_rate_of_nothing_is_refused():
    with pytest.raises(ValueError, match="more than nothing"):
        next(poisson(0, 1, Random(1)))
