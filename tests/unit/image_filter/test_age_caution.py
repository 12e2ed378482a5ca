"""What may be a child beside what is sexual: on scores that the tests put in, and on harmless pictures."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from skimage import data

from services.core.policy.floors import ALWAYS_BLOCK
from services.core.signals import Box, Signal
from services.image_filter.compose import minors
from services.image_filter.detectors.age import AgeDetector, child_score

FACE = Box(170, 60, 110, 120)


def score(sexual: float, child: float) -> float:
    signals = (Signal("sexual", sexual, "test"), Signal("concept.child", child, "test", FACE))
    return next(s.score for s in minors(signals) if s.category == "sexual.minors")


@pytest.mark.parametrize(("sexual", "child"), [(0.15, 0.9), (0.9, 0.15), (0.35, 0.35)])
def test_a_hint_of_one_beside_much_of_the_other_must_be_blocked(sexual: float, child: float) -> None:
    assert score(sexual, child) >= ALWAYS_BLOCK["sexual.minors"]


@pytest.mark.parametrize(("sexual", "child"), [(0.0, 1.0), (1.0, 0.0), (0.05, 1.0)])
def test_one_alone_is_nothing(sexual: float, child: float) -> None:
    assert score(sexual, child) == 0


def test_the_youngest_face_and_the_most_sexual_signal_count() -> None:
    signals = tuple(
        Signal(name, value, "test", box)
        for name, value, box in (
            ("sexual", 0.2, None),
            ("sexual", 0.8, None),
            ("concept.child", 0.1, None),
            ("concept.child", 0.8, FACE),
        )
    )

    composed = minors(signals)[-1]

    assert (composed.category, composed.score, composed.evidence) == ("sexual.minors", pytest.approx(0.8), FACE)


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1))
def test_more_of_either_never_lowers_the_score(sexual: float, child: float, more: float) -> None:
    assert score(max(sexual, more), child) >= score(sexual, child)
    assert score(sexual, max(child, more)) >= score(sexual, child)


@given(st.floats(-20, 120), st.floats(0, 50))
def test_the_older_a_face_looks_the_less_it_is_a_child(years: float, later: float) -> None:
    assert 0 <= child_score(years + later) <= child_score(years) <= 1


def test_a_grown_up_is_no_child_and_no_face_is_nobody() -> None:
    seen = (Signal("realistic_face", 0.9, "test", FACE),)

    grown_up, nobody = AgeDetector().detect([data.astronaut(), np.zeros((64, 64, 3), np.uint8)], [seen, ()])

    assert [(signal.category, signal.evidence) for signal in grown_up] == [("concept.child", FACE)]
    assert grown_up[0].score < 0.2
    assert nobody == ()


def test_only_a_realistic_face_is_asked_for_its_age() -> None:
    drawn = (Signal("realistic_face", 0.05, "test", FACE), Signal("concept.face", 1.0, "test", FACE))

    assert AgeDetector().detect([data.astronaut()], [drawn]) == [()]


def test_of_many_faces_each_gets_its_own_age() -> None:
    crowd = tuple(Signal("realistic_face", 0.9, "test", Box(170 + shift, 60, 110, 120)) for shift in range(40))

    (found,) = AgeDetector().detect([data.astronaut()], [crowd])
    (alone,) = AgeDetector().detect([data.astronaut()], [crowd[-1:]])

    assert [signal.evidence for signal in found] == [face.evidence for face in crowd]
    assert found[-1].score == pytest.approx(alone[0].score, rel=1e-3)
