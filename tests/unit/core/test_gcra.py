"""The bucket on plain numbers: never more than it gives, never less than it promised."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.core.limits.gcra import TOLERANCE_SECONDS, Bucket

NOW = 1_800_000_000.0

buckets = st.builds(Bucket, st.floats(0.001, 1000.0), st.integers(1, 50))
# Pauses between calls, and what each call asks for.
calls = st.lists(st.tuples(st.floats(0, 500), st.integers(1, 5)), max_size=60)


@given(buckets, calls)
def test_in_no_stretch_of_time_more_passes_than_the_burst_and_what_came_back(
    bucket: Bucket, asked: list[tuple[float, int]]
) -> None:
    tat, now, passed = 0.0, NOW, []
    for pause, units in asked:
        now += pause
        if bucket.fits(tat, units, now):
            tat = bucket.take(tat, units, now)
            passed.append((now, units))

    for first, (start, _) in enumerate(passed):
        total = 0
        for at, units in passed[first:]:
            total += units
            assert total <= bucket.burst + (at - start + 2 * TOLERANCE_SECONDS) / bucket.period + 1e-6


@given(buckets, st.integers(1, 200))
def test_who_keeps_to_the_rate_is_never_refused(bucket: Bucket, times: int) -> None:
    tat = 0.0
    for number in range(times):
        now = NOW + number * bucket.period

        assert bucket.fits(tat, 1, now)
        tat = bucket.take(tat, 1, now)


@given(buckets)
def test_a_full_bucket_gives_all_of_its_burst_at_once(bucket: Bucket) -> None:
    tat = 0.0
    for _ in range(int(bucket.burst)):
        assert bucket.fits(tat, 1, NOW)
        tat = bucket.take(tat, 1, NOW)

    assert not bucket.fits(tat, 1, NOW)


@given(buckets, st.integers(1, 50), st.integers(1, 50))
def test_who_waits_as_told_passes_and_not_much_sooner(bucket: Bucket, used: int, units: int) -> None:
    tat = bucket.take(0.0, min(used, bucket.burst), NOW)

    wait = bucket.wait(tat, units, NOW)

    if units > bucket.burst:
        assert math.isinf(wait)
    else:
        assert bucket.fits(tat, units, NOW + wait)
        assert wait == 0 or not bucket.fits(tat, units, NOW + wait - 10 * TOLERANCE_SECONDS)


@given(buckets, st.integers(0, 50))
def test_what_is_left_can_be_taken_and_one_more_cannot(bucket: Bucket, used: int) -> None:
    tat = bucket.take(0.0, min(used, bucket.burst), NOW)

    left = bucket.left(tat, NOW)

    assert left == 0 or bucket.fits(tat, left, NOW)
    assert not bucket.fits(tat, left + 1, NOW)


@given(buckets, st.integers(1, 50), st.integers(1, 50))
def test_what_is_given_back_never_makes_more_than_full(bucket: Bucket, used: int, back: int) -> None:
    tat = bucket.take(bucket.take(0.0, min(used, bucket.burst), NOW), -back, NOW)

    assert bucket.left(tat, NOW) <= bucket.burst


@given(buckets, st.floats(0, 10**9))
def test_a_clock_set_back_locks_nobody_out_for_longer_than_a_window(bucket: Bucket, jump: float) -> None:
    tat = bucket.take(0.0, bucket.burst, NOW)

    back = max(NOW - jump, 1.0)
    wait = bucket.wait(tat, 1, back)

    assert wait <= bucket.depth + bucket.period + TOLERANCE_SECONDS
    assert bucket.fits(tat, 1, back + wait)


@pytest.mark.parametrize("trembling", [1e-6, 1e-3, 0.1])
def test_a_clock_that_trembles_opens_nothing(trembling: float) -> None:
    bucket = Bucket(1.0, 10)
    tat = bucket.take(0.0, 10, NOW)

    assert not bucket.fits(tat, 1, NOW - trembling)
