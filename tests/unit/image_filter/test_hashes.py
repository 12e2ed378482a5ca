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
from services.core.store.cases import NEAR_BITS
from services.image_filter.hashes import entry_of, hashes_of, sketch_of

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


def test_the_sketch_of_a_re_encoded_picture_is_near_and_of_another_is_not() -> None:
    picture, file = data.astronaut(), BytesIO()
    Image.fromarray(picture).resize((256, 256)).save(file, "JPEG", quality=40)

    own, again, other = (sketch_of(np.asarray(each)) for each in (picture, Image.open(file), data.coffee()))

    near, far = ((int.from_bytes(own) ^ int.from_bytes(each)).bit_count() for each in (again, other))
    assert near <= NEAR_BITS[32] < far


def test_a_plain_picture_has_no_sketch() -> None:
    assert sketch_of(np.full((300, 300, 3), 200, np.uint8)) == b""
