"""How rare a likeness is told to be."""

from __future__ import annotations

import numpy as np
import pytest

from services.core.image_encoder import ImageEncoder
from services.core.store.image_embeddings import Space
from services.provenance.resemblance import SAMPLE, TELLING, Resemblance


def resemblance(between_strangers: list[float]) -> Resemblance:
    made = Resemblance(ImageEncoder(None, None, "ab" * 32), Space("ab" * 32, 3))
    made._between_strangers = sorted(between_strangers)
    return made


def test_before_anything_is_measured_a_likeness_may_be_chance() -> None:
    assert resemblance([]).chance(1.0) == 1.0


@pytest.mark.parametrize(
    ("similarity", "chance"),
    [(0.05, 1.0), (0.1, 1.0), (0.11, 0.9), (0.9, 0.2), (0.95, 0.1)],
)
def test_it_is_as_rare_as_the_strangers_that_are_as_like_and_one_more(similarity: float, chance: float) -> None:
    nine = [number / 10 for number in range(1, 10)]

    assert resemblance(nine).chance(similarity) == pytest.approx(chance)


def test_of_strangers_no_more_than_told_are_found() -> None:
    """The law of conformal prediction, on likenesses that are drawn from one distribution."""
    rng = np.random.default_rng(1)
    chances = [
        resemblance(list(rng.beta(8, 3, SAMPLE))).chance(float(similarity)) for similarity in rng.beta(8, 3, 2000)
    ]

    assert np.mean(np.array(chances) <= TELLING) < 2 * TELLING
    assert np.mean(np.array(chances) <= 0.1) == pytest.approx(0.1, abs=0.03)
