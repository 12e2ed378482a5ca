"""Our hashes against those that others compute: pdqhash, imagehash and the threatexchange library."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO

import cv2
import imagehash
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.extra.numpy import arrays
from PIL import Image
from skimage import data
from threatexchange.signal_type.pdq.signal import PdqSignal

from services.core.imaging import Rgb
from services.image_filter.hashes import entry_of, hashes_of

PHOTOS: list[Callable[[], Rgb]] = [data.astronaut, data.coffee, data.chelsea, data.rocket]


def cut(picture: Rgb, height: int, width: int) -> Rgb:
    return np.ascontiguousarray(picture[:height, :width])


@pytest.mark.parametrize("photo", PHOTOS)
@pytest.mark.parametrize("quarter", range(4))
def test_the_perceptual_hash_is_that_of_imagehash_in_every_turn(photo: Callable[[], Rgb], quarter: int) -> None:
    picture = cut(photo(), 400, 400)
    turned = np.ascontiguousarray(np.rot90(picture, quarter))

    ours = hashes_of(picture, ("phash256",), query=True).of["phash256"]

    theirs = np.packbits(imagehash.phash(Image.fromarray(cv2.cvtColor(turned, cv2.COLOR_RGB2GRAY)), hash_size=16).hash)
    assert np.bitwise_count(ours ^ theirs).sum(axis=1).min() <= 4  # turned pictures are rounded elsewhere


@pytest.mark.parametrize("photo", PHOTOS)
def test_the_hex_of_an_entry_is_what_the_threatexchange_library_computes(photo: Callable[[], Rgb]) -> None:
    picture = cut(photo(), 400, 400)
    file = BytesIO()
    Image.fromarray(picture).save(file, "PNG")
    theirs = PdqSignal.hash_from_bytes(file.getvalue())

    ours = next(known.bits.hex() for known in entry_of(picture, "b", "e").hashes if known.kind == "pdq")

    assert PdqSignal.validate_signal_str(ours) == theirs


@settings(deadline=None, max_examples=40)
@given(arrays(np.uint8, 32), arrays(np.uint8, 32))
def test_distance_is_counted_as_the_threatexchange_library_counts_it(one: np.ndarray, other: np.ndarray) -> None:
    theirs = PdqSignal.compare_hash(one.tobytes().hex(), other.tobytes().hex())

    assert int(np.bitwise_count(one ^ other).sum()) == theirs.distance.distance
