from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from services.generator.region import Square, centre_square, put_back, square_around

SIDES = st.integers(1, 40)


@st.composite
def masks(draw: st.DrawFn) -> np.ndarray:
    height, width = draw(SIDES), draw(SIDES)
    mask = np.zeros((height, width), dtype=bool)
    top, left = draw(st.integers(0, height - 1)), draw(st.integers(0, width - 1))
    mask[top : draw(st.integers(top + 1, height)), left : draw(st.integers(left + 1, width))] = True
    return mask


@given(masks())
def test_the_square_holds_all_of_the_mask(mask: np.ndarray) -> None:
    square = square_around(mask)
    rows, columns = np.nonzero(mask)
    assert square.top <= rows.min()
    assert rows.max() < square.top + square.side
    assert square.left <= columns.min()
    assert columns.max() < square.left + square.side


@given(masks())
def test_cut_and_put_back_changes_nothing(mask: np.ndarray) -> None:
    image = np.random.default_rng(0).integers(0, 256, (*mask.shape, 3), dtype=np.uint8)
    square = square_around(mask)
    assert np.array_equal(put_back(image, mask, square, square.cut(image)), image)


@given(masks())
def test_only_what_is_marked_comes_from_the_patch(mask: np.ndarray) -> None:
    image = np.zeros((*mask.shape, 3), dtype=np.uint8)
    square = square_around(mask)
    patch = np.full((square.side, square.side, 3), 255, dtype=np.uint8)
    assert np.array_equal(put_back(image, mask, square, patch).any(axis=2), mask)


def test_the_middle_of_a_wide_picture() -> None:
    assert centre_square(10, 30) == Square(0, 10, 10)
