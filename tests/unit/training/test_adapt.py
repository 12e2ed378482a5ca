"""Heads move towards what was learned, and nowhere else."""

from __future__ import annotations

import numpy as np
import pytest

from training.prompt_filter import adapt
from training.prompt_filter.adapt import Known
from training.prompt_filter.features import Readings

WIDTH = 8
BARS = np.zeros(1, np.float32)


def readings(count: int, shift: np.ndarray, logit: float, seed: int) -> Readings:
    """Texts of one window each around `shift`, all of one logit."""
    random = np.random.default_rng(seed)
    states = shift + random.normal(size=(count, 1, WIDTH))
    features = np.concatenate([states, np.ones((count, 1, 1))], axis=2).astype(np.float32)
    return Readings(count, features, np.full((count, 1), logit, np.float32), np.arange(count))


@pytest.fixture
def harmless() -> Readings:
    return readings(300, np.zeros(WIDTH), -2.0, 1)


@pytest.fixture
def violations() -> Readings:
    return readings(60, 6 * np.eye(WIDTH)[0], -1.0, 2)


def steps(rows: Readings, label: int, harmless: Readings, slope: float = 1.0) -> np.ndarray:
    labels = np.full((rows.count, 1), label, np.int8)
    known = Known(harmless, np.zeros((harmless.count, 1), np.int8))
    return adapt.adapt(rows, labels, np.ones((rows.count, 1)), known, np.array([slope]), BARS)


def flagged(rows: Readings, step: np.ndarray) -> float:
    return float((rows.scores(step) >= BARS).mean())


def test_violations_alone_are_found_and_harmless_texts_stay_where_they_are(
    violations: Readings, harmless: Readings
) -> None:
    step = steps(violations, 1, harmless)
    assert flagged(violations, step) > 0.9
    assert flagged(harmless, step) <= adapt.MOST_NEW


def test_what_was_released_scores_lower(harmless: Readings) -> None:
    released = readings(60, 6 * np.eye(WIDTH)[1], 1.0, 3)
    assert released.scores(steps(released, 0, harmless)).mean() < 0


def test_a_release_does_not_make_it_forget_what_a_violation_is(harmless: Readings) -> None:
    # Given texts that the model rightly flags, and released ones that look the same
    violations, released = (readings(60, 6 * np.eye(WIDTH)[2], 1.0, seed) for seed in (6, 7))
    both = Readings(
        harmless.count + violations.count,
        np.concatenate([harmless.features, violations.features]),
        np.concatenate([harmless.logits, violations.logits]),
        np.concatenate([harmless.text, harmless.count + violations.text]),
    )
    known = Known(both, np.repeat(np.array([[0], [1]], np.int8), [harmless.count, violations.count], axis=0))
    # When they are learned
    labels = np.zeros((released.count, 1), np.int8)
    step = adapt.adapt(released, labels, np.ones((released.count, 1)), known, np.ones(1), BARS)
    # Then the violations are found as before
    assert flagged(violations, step) >= 1 - adapt.MOST_LOST


def test_what_cannot_be_told_from_harmless_texts_is_not_learned(harmless: Readings) -> None:
    alike = readings(200, np.zeros(WIDTH), -1.0, 4)
    step = steps(alike, 1, harmless)
    assert flagged(harmless, step) <= adapt.MOST_NEW


def test_a_few_rows_teach_nothing(harmless: Readings) -> None:
    few = readings(adapt.FEWEST - 1, 6 * np.eye(WIDTH)[0], -1.0, 5)
    assert not steps(few, 1, harmless).any()


def test_a_head_that_does_not_count_is_left_alone(violations: Readings, harmless: Readings) -> None:
    assert not steps(violations, 1, harmless, slope=0.0).any()


def test_a_long_text_is_judged_by_its_loudest_window() -> None:
    long = Readings(2, np.zeros((3, 1, WIDTH)), np.array([[1.0], [3.0], [2.0]]), np.array([0, 0, 1]))
    assert long.loudest(0).tolist() == [1, 2]
    assert long.scores().tolist() == [[3.0], [2.0]]
