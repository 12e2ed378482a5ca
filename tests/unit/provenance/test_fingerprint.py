"""Comparing a found picture with a registered one."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from skimage import data

from services.provenance.fingerprint import Likeness, Look, compare, confirms, fingerprint

Rgb = NDArray[np.uint8]
PHOTO: Rgb = data.astronaut()
OTHER: Rgb = data.coffee()[:, :400]


def look(rgb: Rgb) -> Look:
    found = fingerprint(rgb)
    return Look(found.pdq, found.quality, found.sketch, rgb.shape[1], rgb.shape[0])


def plane(rgb: Rgb) -> NDArray[np.float32]:
    return cv2.cvtColor(np.ascontiguousarray(rgb), cv2.COLOR_RGB2GRAY).astype(np.float32)


@pytest.mark.parametrize("turns", range(4))
def test_a_turned_copy_is_the_same(turns: int) -> None:
    copy = np.ascontiguousarray(np.rot90(PHOTO, turns))

    assert compare(copy, None, look(PHOTO)) is Likeness.SAME


def test_a_small_darker_copy_is_the_same() -> None:
    copy = (cv2.resize(PHOTO, (200, 200)) * 0.7).astype(np.uint8)

    assert compare(copy, None, look(PHOTO)) is Likeness.SAME


def test_another_picture_is_different() -> None:
    assert compare(OTHER, plane(OTHER), look(PHOTO)) is Likeness.DIFFERENT


def test_a_crop_whose_scale_is_known_is_a_part() -> None:
    crop = PHOTO[40:340, 100:400]

    assert compare(crop, plane(crop), look(PHOTO)) is Likeness.PART


def test_a_crop_whose_scale_is_not_known_is_not_recognised() -> None:
    assert compare(PHOTO[40:340, 100:400], None, look(PHOTO)) is Likeness.DIFFERENT


def test_a_copy_within_a_larger_frame_is_recognised() -> None:
    framed = np.full((800, 620, 3), 245, np.uint8)
    framed[150 : 150 + 512, 50 : 50 + 512] = PHOTO

    assert compare(framed, plane(framed), look(PHOTO)) is not Likeness.DIFFERENT


def test_a_sticker_does_not_hide_the_picture() -> None:
    covered = PHOTO.copy()
    covered[128:384, 128:384] = 255

    assert compare(covered, plane(covered), look(PHOTO)) is not Likeness.DIFFERENT


def test_flat_pictures_of_other_colours_do_not_confirm_each_other() -> None:
    """PDQ sees no colours, and on flat ground nearly nothing."""
    red = np.full((256, 256, 3), (200, 30, 30), np.uint8)
    blue = np.full((256, 256, 3), (30, 30, 200), np.uint8)
    red[:80], blue[:80] = 255, 0

    assert not confirms(blue, look(red))


@given(st.integers(8, 1500), st.integers(8, 1500), st.integers(8, 600), st.integers(8, 600))
@settings(max_examples=25, deadline=None)
def test_any_two_sizes_can_be_compared(height: int, width: int, registered_height: int, registered_width: int) -> None:
    found = np.random.default_rng(0).integers(0, 255, (height, width, 3)).astype(np.uint8)
    registered = look(np.full((registered_height, registered_width, 3), 9, np.uint8))

    assert compare(found, plane(found), registered) in Likeness
