from __future__ import annotations

from io import BytesIO

import cv2
import numpy as np
from hypothesis import given
from hypothesis.extra.numpy import array_shapes, arrays
from numpy.typing import NDArray
from PIL import Image

from services.core.imaging_png import write_png

SIZES = array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=40)


@given(arrays(np.uint8, SIZES.map(lambda size: (*size, 3))))
def test_colours_come_back_from_two_other_readers(pixels: NDArray[np.uint8]) -> None:
    png = write_png(pixels)

    assert (np.asarray(Image.open(BytesIO(png))) == pixels).all()
    assert (cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR_RGB) == pixels).all()


@given(arrays(np.uint8, SIZES))
def test_grey_comes_back_from_two_other_readers(pixels: NDArray[np.uint8]) -> None:
    png = write_png(pixels)

    assert (np.asarray(Image.open(BytesIO(png))) == pixels).all()
    assert (cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_UNCHANGED) == pixels).all()


def test_the_same_pixels_are_the_same_file() -> None:
    pixels = np.random.default_rng(7).integers(0, 256, (99, 77, 3), np.uint8)

    assert write_png(pixels) == write_png(np.asfortranarray(pixels))


def test_a_flat_picture_is_small() -> None:
    assert len(write_png(np.full((1024, 1024, 3), 200, np.uint8))) < 30_000
