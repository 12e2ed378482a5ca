from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from skimage import data

from services.image_filter.regions import MOST_REGIONS, regions_of


@settings(deadline=None, max_examples=40)
@given(arrays(np.uint8, array_shapes(min_dims=2, max_dims=2, min_side=8, max_side=40)), st.booleans())
def test_any_picture_has_regions_or_none(grey: np.ndarray, query: bool) -> None:
    hashes = regions_of(grey, query)

    assert hashes.dtype == np.uint8
    assert hashes.shape[1:] == (32,)
    assert query or len(hashes) <= MOST_REGIONS


def test_very_long_pictures_have_hashes_too() -> None:
    strip = np.random.default_rng(1).integers(0, 256, (8, 4000), np.uint8)

    assert regions_of(strip, True).shape[1] == 32


def test_a_plain_picture_has_no_regions() -> None:
    assert not len(regions_of(np.full((100, 100), 77, np.uint8), True))


def test_a_query_holds_what_a_bank_holds() -> None:
    grey = np.asarray(cv2.cvtColor(data.astronaut(), cv2.COLOR_RGB2GRAY), np.uint8)

    known = {row.tobytes() for row in regions_of(grey, False)}

    assert len(known) >= 8
    assert known <= {row.tobytes() for row in regions_of(grey, True)}


@pytest.mark.parametrize("period", [8, 16, 30])
def test_stripes_have_ridges_and_no_peaks_and_are_hashed_all_the_same(period: int) -> None:
    y, x = np.mgrid[:144, :144]
    stripes = (((x + y) // period % 2) * 200).astype(np.uint8)

    assert regions_of(stripes, True).shape[1] == 32
