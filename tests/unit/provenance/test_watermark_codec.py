"""The mark, on flat drawings and on textured pictures, through what the internet does to them."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from io import BytesIO

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from skimage import data
from skimage.metrics import structural_similarity

from services.provenance.watermark.codec import DEVELOPMENT_KEY, RELIABLE, Codec
from services.provenance.watermark.drawing import without
from services.provenance.watermark.payload import PayloadCode
from services.provenance.watermark.residual import folded, luma, residual
from services.provenance.watermark.search import locks
from services.provenance.watermark.tile import VARIANTS, load_tile

Rgb = NDArray[np.uint8]
BITS = np.random.default_rng(64).integers(0, 2, 64).astype(np.uint8)


def drawing() -> Rgb:
    pixels = np.full((256, 256, 3), (240, 220, 40), np.uint8)
    pixels[60:200, 60:150] = (200, 30, 30)
    return pixels


def photo() -> Rgb:
    return data.astronaut()


@lru_cache
def marked(picture: Callable[[], Rgb]) -> Rgb:
    return Codec().embed(picture(), BITS)


def jpeg(pixels: Rgb, quality: int) -> Rgb:
    file = BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file).convert("RGB"))


def resized(pixels: Rgb, factor: float) -> Rgb:
    return cv2.resize(pixels, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)


def rotated(pixels: Rgb, degrees: float) -> Rgb:
    height, width = pixels.shape[:2]
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1)
    return cv2.warpAffine(pixels, matrix, (width, height), borderValue=(127, 127, 127))


def grey(pixels: Rgb) -> Rgb:
    return np.repeat(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)[..., None], 3, axis=2)


def noisy(pixels: Rgb) -> Rgb:
    return np.clip(pixels + np.random.default_rng(1).normal(0, 8, pixels.shape), 0, 255).astype(np.uint8)


CHANGES: dict[str, Callable[[Rgb], Rgb]] = {
    "nothing": lambda pixels: pixels,
    "JPEG 75": lambda pixels: jpeg(pixels, 75),
    "JPEG 50": lambda pixels: jpeg(pixels, 50),
    "half its size": lambda pixels: resized(pixels, 0.5),
    "half and back": lambda pixels: resized(resized(pixels, 0.5), 2.0),
    "three quarters, JPEG": lambda pixels: jpeg(resized(pixels, 0.75), 75),
    "half its area": lambda pixels: pixels[31 : 31 + pixels.shape[0] * 7 // 10, 17 : 17 + pixels.shape[1] * 7 // 10],
    "mirrored": lambda pixels: pixels[:, ::-1],
    "upside down": lambda pixels: pixels[::-1],
    "a quarter turn": lambda pixels: np.rot90(pixels),
    "turned by 5°": lambda pixels: rotated(pixels, 5.0),
    "grey": grey,
    "noise": noisy,
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
@pytest.mark.parametrize("picture", [drawing, photo])
def test_the_mark_survives(picture: Callable[[], Rgb], change: Callable[[Rgb], Rgb]) -> None:
    copy = np.ascontiguousarray(change(marked(picture)))

    found = Codec().detect(copy)

    assert found["ok"]
    assert np.array_equal(found["bits"], BITS)


EDITS: dict[str, Callable[[Rgb], Rgb]] = {
    "as it was": lambda pixels: pixels,
    "moved and mirrored": lambda pixels: np.ascontiguousarray(pixels[9:-20, ::-1][:, 30:]),
}


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS)
@pytest.mark.parametrize("picture", [drawing, photo])
def test_a_new_mark_replaces_an_earlier_one(picture: Callable[[], Rgb], edit: Callable[[Rgb], Rgb]) -> None:
    """An edit of a picture of ours keeps most of its pixels, and the old mark in them."""
    again = Codec().embed(edit(marked(picture)), 1 - BITS, edited=True)

    found = Codec().detect(jpeg(again, 75))

    assert np.array_equal(found["bits"], 1 - BITS)


@given(st.lists(st.integers(0, 1), min_size=64, max_size=64))
@settings(max_examples=20, deadline=None)
def test_any_payload_comes_back(bits: list[int]) -> None:
    reading = Codec().read(Codec().embed(drawing(), bits))

    assert reading is not None
    assert reading.bits.tolist() == bits


@given(st.integers(8, 300), st.integers(8, 300), st.integers(0, 255))
@settings(max_examples=15, deadline=None)
def test_any_size_can_be_marked_and_read(height: int, width: int, shade: int) -> None:
    picture = np.full((height, width, 3), shade, np.uint8)

    copy = Codec().embed(picture, BITS)

    assert copy.shape == picture.shape
    assert Codec().detect(copy)["bits"].shape == (64,)


@pytest.mark.parametrize("picture", [drawing, photo])
def test_the_mark_is_faint(picture: Callable[[], Rgb]) -> None:
    similarity = structural_similarity(picture(), marked(picture), channel_axis=2)

    assert similarity > 0.98


def test_a_reading_lies_as_the_picture_lay() -> None:
    reading = Codec().read(np.ascontiguousarray(np.rot90(marked(photo)[:, ::-1])))

    assert reading is not None
    original = cv2.cvtColor(photo(), cv2.COLOR_RGB2GRAY).astype(np.float32)
    assert np.corrcoef(reading.plane.ravel(), original.ravel())[0, 1] > 0.99


def test_a_reading_bounds_its_error() -> None:
    reading = Codec().read(marked(photo))

    assert reading is not None
    assert reading.false_positive < 1e-9


@pytest.mark.parametrize(
    "clean",
    [photo, data.coffee, drawing, lambda: np.zeros((200, 300, 3), np.uint8)],
    ids=["astronaut", "coffee", "drawing", "black"],
)
def test_a_clean_picture_has_no_mark(clean: Callable[[], Rgb]) -> None:
    assert Codec().read(clean()) is None


def test_another_key_reads_nothing() -> None:
    assert Codec(key=b"another key, not that one").read(marked(photo)) is None


def seen_askew(pixels: Rgb) -> Rgb:
    """As a scanner sees a print: its corners a few pixels off, softer, noisier, in JPEG."""
    height, width = pixels.shape[:2]
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    moved = corners + np.array([[6, -4], [-8, 5], [7, 8], [-5, -7]], np.float32)
    turned = cv2.warpPerspective(pixels, cv2.getPerspectiveTransform(corners, moved), (width, height))
    return jpeg(noisy(cv2.GaussianBlur(turned, (0, 0), 1.0)), 70)


def seen_from_aside(pixels: Rgb) -> Rgb:
    """As a camera sees a screen that is turned by about ten degrees."""
    height, width = pixels.shape[:2]
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    moved = corners + np.array([[0, 14], [-4, -14], [-4, 14], [0, -14]], np.float32)
    return jpeg(cv2.warpPerspective(pixels, cv2.getPerspectiveTransform(corners, moved), (width, height)), 80)


@pytest.mark.parametrize("change", [seen_askew, seen_from_aside])
def test_the_mark_survives_a_tilt(change: Callable[[Rgb], Rgb]) -> None:
    found = Codec().detect(change(marked(photo)))

    assert np.array_equal(found["bits"], BITS)


def test_the_mark_is_read_where_the_middle_is_covered() -> None:
    large = Codec().embed(resized(photo(), 2.0), BITS)
    large[256:768, 256:768] = 255

    assert np.array_equal(Codec().detect(large)["bits"], BITS)


def without_synchronisation(pixels: Rgb) -> Rgb:
    """What an attacker reaches at best who averages our pictures: the one part that all have in common is gone."""
    tile = load_tile(DEVELOPMENT_KEY, PayloadCode(64, DEVELOPMENT_KEY).length)
    common = np.zeros(len(tile.rows), np.complex64)
    common[tile.sync] = tile.sync_values * tile.amplitudes[tile.sync]
    lock = locks(folded(residual(luma(pixels))), tile, 1, 16)[0]
    return without(pixels, tile, common, lock.variant, lock)


def test_the_mark_is_read_without_what_all_pictures_share() -> None:
    codec = Codec()
    stripped = without_synchronisation(marked(photo))

    assert codec.read(stripped, "fast") is None, "it is gone indeed"
    assert np.array_equal(codec.detect(stripped)["bits"], BITS)


def test_pictures_share_next_to_nothing_else() -> None:
    """An average over many, aligned by the synchronisation part, holds no pilot and no payload."""
    tile = load_tile(DEVELOPMENT_KEY, 504)
    random = np.random.default_rng(3)
    spectra = [
        tile.spectrum(random.choice(np.array([-1, 1], np.float32), 504), int(random.integers(VARIANTS)))
        for _ in range(1000)
    ]

    common = np.abs(np.mean(spectra, axis=0)) / np.abs(spectra[0] + 1e-9)

    assert common[tile.sync].min() > 0.99
    assert common[np.concatenate([tile.pilots, tile.data])].max() < 0.15


def test_a_key_of_an_earlier_epoch_still_reads() -> None:
    codec = Codec(key=b"the key of this year", retired=[DEVELOPMENT_KEY])

    old, new = codec.read(marked(photo)), codec.read(codec.embed(photo(), 1 - BITS))

    assert old is not None
    assert new is not None
    assert np.array_equal(old.bits, BITS)
    assert np.array_equal(new.bits, 1 - BITS)


def test_an_edit_loses_the_mark_of_an_earlier_epoch() -> None:
    codec = Codec(key=b"the key of this year", retired=[DEVELOPMENT_KEY])

    again = codec.embed(marked(photo), 1 - BITS, edited=True)

    assert Codec().read(again) is None


def hardly_left(pixels: Rgb) -> Rgb:
    return jpeg(resized(jpeg(resized(pixels, 0.4), 30), 2.5), 40)


def test_a_mark_too_faint_to_read_is_confirmed_by_its_id() -> None:
    copy = hardly_left(marked(photo))

    assert Codec().read(copy) is None, "it cannot be read"
    assert Codec().confirm(copy, BITS) < RELIABLE


def test_another_id_is_not_confirmed() -> None:
    assert Codec().confirm(hardly_left(marked(photo)), 1 - BITS) > RELIABLE


@pytest.mark.parametrize("clean", [photo, data.coffee, drawing], ids=["astronaut", "coffee", "drawing"])
def test_no_id_is_confirmed_in_a_clean_picture(clean: Callable[[], Rgb]) -> None:
    assert Codec().confirm(clean(), BITS) > RELIABLE
