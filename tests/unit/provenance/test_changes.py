"""Where a copy was changed, told from a sketch."""

from __future__ import annotations

from io import BytesIO

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from skimage import data

from services.core.signals import Box
from services.provenance.changes import changed_boxes
from services.provenance.fingerprint import sketch_of

Rgb = NDArray[np.uint8]
PHOTO: Rgb = data.astronaut()
SKETCH = sketch_of(PHOTO).tobytes()
SIZE = (512, 512)


def jpeg(rgb: Rgb, quality: int) -> Rgb:
    file = BytesIO()
    Image.fromarray(rgb).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file))


def stickered(rgb: Rgb) -> Rgb:
    copy = rgb.copy()
    copy[64:192, 320:448] = (20, 220, 40)
    return copy


@pytest.mark.parametrize(
    "unchanged",
    [
        pytest.param(PHOTO, id="as it was"),
        pytest.param(jpeg(PHOTO, 30), id="JPEG 30"),
        pytest.param(cv2.resize(PHOTO, (200, 200), interpolation=cv2.INTER_AREA), id="smaller"),
        pytest.param((PHOTO * 0.7).astype(np.uint8), id="darker"),
        pytest.param(np.ascontiguousarray(np.rot90(PHOTO, 3)), id="turned"),
        pytest.param(cv2.GaussianBlur(PHOTO, (0, 0), 2), id="blurred"),
    ],
)
def test_what_changes_all_of_a_picture_is_no_changed_place(unchanged: Rgb) -> None:
    assert changed_boxes(unchanged, SKETCH, SIZE) == ()


def test_a_sticker_is_found_where_it_is() -> None:
    assert changed_boxes(jpeg(stickered(PHOTO), 70), SKETCH, SIZE) == (Box(320, 64, 128, 128),)


def test_a_sticker_on_a_mirrored_copy_is_found_where_it_is_in_the_copy() -> None:
    mirrored = np.ascontiguousarray(stickered(PHOTO)[:, ::-1])

    assert changed_boxes(mirrored, SKETCH, SIZE) == (Box(64, 64, 128, 128),)


def test_a_turned_copy_of_a_larger_file_is_told_in_pixels_of_the_file() -> None:
    turned = np.ascontiguousarray(np.rot90(stickered(PHOTO)))

    assert changed_boxes(turned, SKETCH, (1024, 1024)) == (Box(128, 128, 256, 256),)


def test_nothing_is_said_of_another_picture() -> None:
    assert changed_boxes(data.coffee()[:, :400], SKETCH, (400, 400)) == ()
