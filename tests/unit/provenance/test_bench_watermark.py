"""What the benchmark of the mark does to pictures, and what its attacker learns from many."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import fft

from benchmarks.watermark_attacks import ATTACKS, generator
from benchmarks.watermark_averaging import aligned_mean, correlation
from benchmarks.watermark_photographs import SIZES, described, photographs
from services.provenance.watermark.codec import DEVELOPMENT_KEY
from services.provenance.watermark.payload import PayloadCode
from services.provenance.watermark.tile import SIZE, load_tile


def picture() -> np.ndarray:
    """Smooth colours with noise, 96 × 128."""
    waves = 128 + 90 * np.sin(np.arange(96)[:, None, None] / 9 + np.arange(128)[:, None] / 13 + np.arange(3))
    return (waves + np.random.default_rng(1).normal(0, 8, waves.shape)).clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_does_the_same_on_every_run(name: str) -> None:
    first, second = (ATTACKS[name](picture(), generator("a photograph", name)) for _ in range(2))

    assert first.dtype == np.uint8
    assert first.shape[2:] == (3,)
    assert np.array_equal(first, second)


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_leaves_the_picture_it_is_given(name: str) -> None:
    given = picture()

    changed = ATTACKS[name](given, generator("a photograph", name))

    assert np.array_equal(given, picture())
    assert np.array_equal(changed, given) is (name == "none")


def test_another_photograph_gets_another_draw() -> None:
    first, second = (ATTACKS["screenshot"](picture(), generator(name, "screenshot")) for name in ("one", "another"))

    assert first.shape != second.shape


def test_photographs_at_hand_are_squares_that_tell_whether_they_were_enlarged() -> None:
    found = {photograph.name: photograph for photograph in photographs(None, SIZES[0])}

    assert {photograph.rgb.shape for photograph in found.values()} == {(512, 512, 3)}
    assert (found["retina"].enlarged, found["coffee"].enlarged) == (False, True)
    assert described([found["retina"], found["coffee"]]) == "2 photographs, 1 of them enlarged from fewer pixels"


def folded_copies(strength: float) -> np.ndarray:
    """200 noisy tiles that hold the part that all pictures share, each beginning elsewhere."""
    random = np.random.default_rng(5)
    tile = load_tile(DEVELOPMENT_KEY, PayloadCode(64, DEVELOPMENT_KEY).length)
    half = np.zeros((SIZE, SIZE // 2 + 1), np.complex64)
    half[tile.rows[tile.sync], tile.columns[tile.sync]] = tile.sync_values * tile.amplitudes[tile.sync]
    shared = fft.irfft2(half)
    shifts = random.integers(0, SIZE, (200, 2))
    moved = np.stack([np.roll(shared, shift, (0, 1)) for shift in shifts])
    return (strength * moved / shared.std() + random.normal(0, 1, moved.shape)).astype(np.float32)


def test_an_attacker_finds_what_all_pictures_share() -> None:
    assert correlation(aligned_mean(folded_copies(1.0))) > 0.9


def test_an_attacker_finds_nothing_where_there_is_nothing() -> None:
    assert correlation(aligned_mean(folded_copies(0.0))) < 0.5
