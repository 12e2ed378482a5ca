"""An attacker who has many of our pictures and this code, but no key: what an average gives away, and what for.

All pictures share the synchronisation part of the tile, which begins at another place in each. The attacker folds
every picture as the detector does, keeps the band, aligns the folded pictures by cross-correlation with their own mean
(blindly, in a few rounds) and averages. The estimate is then fitted to a marked picture and subtracted, and stamped
on clean photographs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from multiprocessing import get_context

import cv2
import numpy as np
from numpy.typing import NDArray
from rich.progress import track
from scipy import fft

from benchmarks.report.table import Figure
from benchmarks.watermark_attacks import Rgb, generator, resized
from benchmarks.watermark_photographs import Photograph
from services.provenance.watermark.codec import DEVELOPMENT_KEY, Codec
from services.provenance.watermark.drawing import drawn
from services.provenance.watermark.mask import visibility_mask
from services.provenance.watermark.payload import PayloadCode
from services.provenance.watermark.residual import folded, luma, repeat, residual
from services.provenance.watermark.tile import SIZE, Tile, band, load_tile

GAINS = (1.0, 1.5, 2.0)
STRENGTHS = (1.0, 3.0)
SURVIVED = 0.95
_BITS = 64
_ROUNDS = 4
_LEAST_CUT, _SIDE = 0.6, 512
# What the mark costs in structural similarity: the code tells.
_LOSS = 0.0088

Half = NDArray[np.complex128]  # SIZE × (SIZE // 2 + 1), as rfft2 gives


@dataclass(frozen=True, slots=True)
class Fate:
    """Whether a picture's payload survives each gain of the subtraction, and whether a stamp of any strength counts."""

    survived: tuple[bool, ...]
    accepted: bool


def averaging(victims: Sequence[Photograph], pool: Sequence[Photograph], count: int, workers: int) -> Iterator[Figure]:
    """Marks `count` cuts and mirrorings of the photographs in the pool, each with its own payload, and attacks."""
    with get_context("spawn").Pool(workers, cv2.setNumThreads, (1,)) as processes:
        sources = [(pool[number % len(pool)], number) for number in range(count)]
        marking = processes.imap(_folded_copy, sources, chunksize=4)
        copies = np.stack(list(track(marking, "marked pictures", count, transient=True)))
        estimate = aligned_mean(copies)
        attacking = processes.imap_unordered(partial(_attacked, estimate), victims)
        fates = list(track(attacking, "subtraction and stamps", len(victims), transient=True))
    likeness = correlation(estimate)
    yield Figure("correlation of the estimate with the part that all share", count, likeness, form="{:.3f}")
    for at, gain in enumerate(GAINS):
        share = float(np.mean([fate.survived[at] for fate in fates]))
        yield Figure(f"payloads that survive {gain:g} × the fitted estimate", len(fates), share, SURVIVED)
    accepted = sum(fate.accepted for fate in fates)
    yield Figure("stamped photographs that are accepted", len(fates), accepted, 0, True, "{:.0f}")


def aligned_mean(copies: NDArray[np.float32]) -> Half:
    """The mean in the band of folded pictures, (count, SIZE, SIZE), each moved to where it agrees with the mean."""
    spectra = fft.rfft2(copies.astype(np.float64)) * _in_band()
    spectra /= np.sqrt((np.abs(spectra) ** 2).mean(axis=(1, 2), keepdims=True))
    estimate: Half = spectra[0]
    for _ in range(_ROUNDS):
        places = [_shift(spectrum, estimate) for spectrum in spectra]
        moved = [spectrum * _move(-dy, -dx) for spectrum, (dy, dx) in zip(spectra, places, strict=True)]
        estimate = np.mean(moved, axis=0)
    return estimate


def correlation(estimate: Half) -> float:
    """Of an estimate with the true synchronisation part, where they agree best."""
    true = np.zeros_like(estimate)
    tile = _tile()
    true[tile.rows[tile.sync], tile.columns[tile.sync]] = tile.sync_values * tile.amplitudes[tile.sync]
    one, other = fft.irfft2(estimate), fft.irfft2(true)
    match = fft.irfft2(fft.rfft2(one) * np.conj(fft.rfft2(other)))
    return float(match.max() / np.linalg.norm(one) / np.linalg.norm(other))


def subtracted(rgb: Rgb, estimate: Half, gain: float) -> Rgb:
    """A picture less `gain` times what fits it best of an estimate, masked as the mark is."""
    grey = luma(rgb)
    seen = folded(residual(grey))
    laid = _masked(estimate * _move(*_shift(fft.rfft2(seen) * _in_band(), estimate)), grey)
    effect = fft.rfft2(folded(residual(grey + laid)) - seen) * _in_band()
    share = np.vdot(effect, fft.rfft2(seen)).real / np.vdot(effect, effect).real
    return _added(rgb, -gain * share * laid)


def stamped(rgb: Rgb, estimate: Half, strength: float) -> Rgb:
    """A photograph that carries an estimate, `strength` times as strong as we would mark it."""
    return _added(rgb, strength * _masked(estimate, luma(rgb)))


def unsynchronised(rgb: Rgb, bits: NDArray[np.uint8]) -> Rgb:
    """A photograph marked with no synchronisation part at all: what a perfect subtraction would leave."""
    tile, payload = _tile(), PayloadCode(_BITS, DEVELOPMENT_KEY)
    variant = payload.variant(bits)
    spectrum = tile.spectrum(payload.encode(bits), variant)
    spectrum[tile.sync] = 0
    return drawn(rgb, tile, spectrum, variant)


def _folded_copy(source: tuple[Photograph, int]) -> NDArray[np.float32]:
    """What the attacker keeps of one of our pictures: a cut, maybe mirrored, scaled, marked and folded."""
    photograph, number = source
    random = generator("averaged", photograph.name, number)
    height, width = photograph.rgb.shape[:2]
    side = int(min(height, width) * random.uniform(_LEAST_CUT, 1.0))
    top, left = int(random.integers(height - side + 1)), int(random.integers(width - side + 1))
    part = photograph.rgb[top : top + side, left : left + side]
    picture = resized(np.ascontiguousarray(part[:, :: int(random.choice([1, -1]))]), _SIDE, _SIDE)
    marked = _codec().embed(picture, random.integers(0, 2, _BITS).astype(np.uint8))
    return folded(residual(luma(marked))).astype(np.float32)


def _attacked(estimate: Half, victim: Photograph) -> Fate:
    bits = generator("bits", victim.name, _BITS).integers(0, 2, _BITS).astype(np.uint8)
    marked = _codec().embed(victim.rgb, bits)
    found = [_codec().detect(subtracted(marked, estimate, gain)) for gain in GAINS]
    survived = tuple(one["ok"] and np.array_equal(one["bits"], bits) for one in found)
    stamps = (stamped(victim.rgb, estimate, strength) for strength in STRENGTHS)
    return Fate(survived, any(_codec().detect(stamp)["ok"] for stamp in stamps))


@lru_cache(maxsize=1)
def _codec() -> Codec:
    return Codec()


def _tile() -> Tile:
    """The true one, for judging: the attacker does not have it."""
    return load_tile(DEVELOPMENT_KEY, PayloadCode(_BITS, DEVELOPMENT_KEY).length)


@lru_cache(maxsize=1)
def _in_band() -> NDArray[np.bool_]:
    rows, columns, _ = band()
    inside = np.zeros((SIZE, SIZE // 2 + 1), np.bool_)
    inside[rows, columns] = True
    return inside


def _shift(spectrum: Half, estimate: Half) -> tuple[int, int]:
    """How far to move an estimate so that it lies as in a spectrum."""
    match = fft.irfft2(spectrum * np.conj(estimate))
    dy, dx = np.unravel_index(match.argmax(), match.shape)
    return int(dy), int(dx)


def _move(dy: int, dx: int) -> Half:
    """The factor that moves a tile down and right by pixels."""
    v, u = fft.fftfreq(SIZE)[:, None], fft.rfftfreq(SIZE)[None]
    return np.exp(-2j * np.pi * (v * dy + u * dx))


def _masked(estimate: Half, grey: NDArray[np.float32]) -> NDArray[np.float32]:
    tile = fft.irfft2(estimate)
    return visibility_mask(grey, _LOSS) * repeat((tile / tile.std()).astype(np.float32), grey.shape)


def _added(rgb: Rgb, change: NDArray[np.float32]) -> Rgb:
    return np.clip(np.rint(rgb + change[..., None]), 0, 255).astype(np.uint8)
