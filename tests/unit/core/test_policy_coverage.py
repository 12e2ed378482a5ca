"""A category that nobody looked for is not innocent."""

from __future__ import annotations

import pytest

from services.core.errors import Unavailable
from services.core.policy.categories import STAGES, Stage, possible_at
from services.core.policy.coverage import REQUIRED, require_measured
from services.core.signals import Measurement, Signal, with_zeros


@pytest.mark.parametrize("stage", STAGES)
def test_scores_of_zero_are_enough(stage: Stage) -> None:
    require_measured(stage, Measurement(with_zeros([], REQUIRED[stage], "test/1"), ()))


@pytest.mark.parametrize(("stage", "category"), [(s, c) for s in STAGES for c in sorted(REQUIRED[s])])
def test_one_missing_category_closes_the_gate(stage: Stage, category: str) -> None:
    measured = with_zeros([], REQUIRED[stage] - {category}, "test/1")
    with pytest.raises(Unavailable, match=category):
        require_measured(stage, Measurement(measured, ()))


@pytest.mark.parametrize(("stage", "category"), [(s, c) for s in STAGES for c in sorted(REQUIRED[s])])
def test_nothing_is_required_that_cannot_arise(stage: Stage, category: str) -> None:
    assert possible_at(category, stage)


def test_zeros_do_not_hide_what_was_found() -> None:
    found = Signal("sexual", 0.7, "nudenet/1")
    assert with_zeros([found], ["sexual", "known_image"], "x/1") == (found, Signal("known_image", 0.0, "x/1"))
