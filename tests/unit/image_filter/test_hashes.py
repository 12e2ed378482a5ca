"""Our hashes against those that others compute: pdqhash, imagehash and the threatexchange library."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO

import cv2
import imagehash
import numpy as np
import pdqhash
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image
from skimage import data
from threatexchange.signal_type.pdq.signal import PdqSignal

from services.core.imaging import Rgb
from services.image_filter.hashes import entry_of
from services.image_filter.pdq import blocks_of, pdq_of, quality_of
from services.image_filter.phash import phash_of

PHOTOS: list[Callable[[], Rgb]] = [data.astronaut, data.coffee, data.chelsea, data.rocket]


def cut(picture: Rgb, height: int, width: int) -> Rgb:
    return np.ascontiguousarray(picture[:height, :width])


@settings(deadline=None, max_examples=40)
@given(st.sampled_from(PHOTOS), st.integers(64, 427), st.integers(64, 451))
def test_pdq_is_that_of_pdqhash_in_every_orientation(photo: Callable[[], Rgb], height: int, width: int) -> None:
    picture = cut(photo(), height, width)
    theirs, quality = pdqhash.compute_dihedral(picture)

    ours = pdq_of(blocks := blocks_of(picture))

    assert min(quality_of(blocks), 100) == quality
    # Rounding may turn a wave that lies next to the median, and its neighbour with it.
    assert np.bitwise_count(ours[0] ^ np.packbits(theirs[0])).sum() <= 2
    near = [min(int(np.bitwise_count(own ^ np.packbits(other)).sum()) for other in theirs) for own in ours]
    assert max(near) <= 2


@settings(deadline=None, max_examples=40)
@given(st.sampled_from(PHOTOS), st.integers(64, 427), st.integers(64, 451))
def test_the_perceptual_hash_is_that_of_imagehash(photo: Callable[[], Rgb], height: int, width: int) -> None:
    grey = np.asarray(cv2.cvtColor(cut(photo(), height, width), cv2.COLOR_RGB2GRAY), np.uint8)
    reduced = Image.fromarray(grey).resize((64, 64), Image.Resampling.LANCZOS)
    mirrored = reduced.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    views = [view.rotate(angle) for view in (reduced, mirrored) for angle in (0, 90, 180, 270)]

    ours = phash_of(grey)

    assert {row.tobytes() for row in ours} == {_theirs(view) for view in views}
    assert ours[0].tobytes() == _theirs(Image.fromarray(grey))


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


def _theirs(view: Image.Image) -> bytes:
    return np.packbits(imagehash.phash(view, hash_size=16).hash).tobytes()
