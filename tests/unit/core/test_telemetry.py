"""What is counted of scores, every bin of a category that was looked for and the right one; which models are shown."""

from __future__ import annotations

import pytest
from prometheus_client import REGISTRY

from services.core import telemetry
from services.core.signals import ModelVersion

BINS = [f"{end:g}" for end in telemetry.SCORE_BINS]


def counts(category: str) -> list[float | None]:
    return [
        REGISTRY.get_sample_value("portcullis_scores_total", {"stage": "prompt", "category": category, "bin": end})
        for end in BINS
    ]


@pytest.mark.parametrize(("score", "bin_"), [(0.0, 0), (0.001, 0), (0.0011, 1), (0.5, 6), (0.51, 7), (1.0, 9)])
def test_a_score_counts_in_the_bin_whose_end_it_does_not_pass(score: float, bin_: int) -> None:
    category = f"scored-{score}"

    telemetry.count_scores("prompt", {category: score})

    assert counts(category) == [float(place == bin_) for place in range(len(BINS))]


def test_a_model_that_is_dropped_is_shown_no_more() -> None:
    model = ModelVersion("candidate", "7", "ab" * 32)
    labels = {"name": "candidate", "version": "7", "digest": "ab" * 8}

    telemetry.show_models([model])
    assert REGISTRY.get_sample_value("portcullis_model", labels) == 1

    telemetry.hide_models([model])
    assert REGISTRY.get_sample_value("portcullis_model", labels) is None
