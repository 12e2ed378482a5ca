from __future__ import annotations

import pytest

from services.core.store.lessons import Bin
from services.review.calibration import Calibration, calibration


def test_scores_that_come_true_have_no_error() -> None:
    (row,) = calibration([Bin("prompt", "hate", 10, 0.5, 0.5), Bin("prompt", "hate", 10, 0.9, 0.9)])

    assert row == Calibration("prompt", "hate", 20, 0.7, 0.7, 0.0)


def test_errors_that_cancel_out_in_the_mean_are_seen() -> None:
    (row,) = calibration([Bin("prompt", "hate", 10, 0.25, 0.75), Bin("prompt", "hate", 10, 0.75, 0.25)])

    assert (row.score, row.upheld, row.error) == (0.5, 0.5, 0.5)


def test_a_bin_weighs_as_many_scores_as_lie_in_it() -> None:
    (row,) = calibration([Bin("output", "sexual", 30, 0.6, 0.6), Bin("output", "sexual", 10, 0.9, 0.5)])

    assert row.error == pytest.approx(0.1)


def test_each_category_of_each_stage_stands_for_itself() -> None:
    bins = [Bin("output", "hate", 1, 0.5, 1), Bin("prompt", "hate", 1, 0.5, 1), Bin("prompt", "spam", 1, 0.5, 0)]

    assert [(row.stage, row.category) for row in calibration(bins)] == [
        ("output", "hate"),
        ("prompt", "hate"),
        ("prompt", "spam"),
    ]
