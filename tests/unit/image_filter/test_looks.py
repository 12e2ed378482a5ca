"""What a picture is like: how much of it has colours of skin, how sharp it is, how many persons it shows."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from skimage import data

from services.core.imaging import Rgb
from services.core.policy.concepts import CONCEPTS
from services.image_filter.detectors.nudenet import people
from services.image_filter.detectors.sharpness import Sharpness, sharpness
from services.image_filter.detectors.skin import Skin, skin_share

PICTURES = arrays.arrays(np.uint8, st.tuples(st.integers(8, 200), st.integers(8, 200), st.just(3)))


@pytest.mark.parametrize("tone", [(255, 219, 172), (224, 172, 105), (141, 85, 36), (90, 56, 37)])
def test_every_tone_of_skin_counts(tone: tuple[int, int, int]) -> None:
    picture: Rgb = np.full((40, 40, 3), (40, 90, 200), np.uint8)
    picture[:10] = tone
    assert skin_share(picture) == pytest.approx(0.25)


@pytest.mark.parametrize("colour", [(30, 120, 40), (40, 90, 200), (128, 128, 128), (0, 0, 0), (255, 255, 255)])
def test_leaves_sky_and_greys_are_no_skin(colour: tuple[int, int, int]) -> None:
    assert skin_share(np.full((40, 40, 3), colour, np.uint8)) == 0


def test_a_picture_is_sharper_than_its_blurred_copy() -> None:
    photo = data.astronaut()
    blurred = np.asarray(cv2.GaussianBlur(photo, (0, 0), 5), np.uint8)
    assert sharpness(photo) > 0.5 > sharpness(blurred)


def test_a_plain_ground_has_no_quality() -> None:
    assert sharpness(np.full((40, 40, 3), 90, np.uint8)) == 0


@given(PICTURES)
def test_both_are_shares(picture: Rgb) -> None:
    assert 0 <= skin_share(picture) <= 1
    assert 0 <= sharpness(picture) < 1


@pytest.mark.parametrize("detector", [Skin(), Sharpness()])
def test_each_picture_of_a_batch_gets_one_signal_that_rules_may_read(detector: Skin | Sharpness) -> None:
    found = detector.detect([data.coffee(), data.chelsea()], [(), ()])
    assert [{signal.category for signal in signals} for signals in found] == [detector.categories] * 2
    assert detector.categories <= CONCEPTS.keys()


@pytest.mark.parametrize(
    ("seen", "persons"),
    [
        ([], 0),
        (["FACE_FEMALE"], 1),
        (["FACE_FEMALE", "FACE_MALE", "FACE_MALE"], 3),
        (["FACE_MALE", "BELLY_COVERED", "FEET_COVERED", "FEET_COVERED"], 1),
        (["FEET_COVERED"] * 3, 2),
        (["BELLY_COVERED", "BELLY_EXPOSED", "FACE_FEMALE"], 2),
    ],
)
def test_there_are_as_many_persons_as_the_parts_seen_need(seen: list[str], persons: int) -> None:
    assert people([{"class": part, "seen": 0.7, "box": [0, 0, 9, 9]} for part in seen]) == persons


def test_an_unsure_part_makes_no_person() -> None:
    assert people([{"class": "FACE_MALE", "seen": 0.3, "box": [0, 0, 9, 9]}]) == 0
