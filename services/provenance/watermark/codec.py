"""The invisible mark: writes up to 64 bits into a picture, and finds them again in a changed copy."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypedDict

import numpy as np
from numpy.typing import ArrayLike, NDArray

from services.provenance.watermark.code import Bits, Floats
from services.provenance.watermark.lattice import poses, undo
from services.provenance.watermark.mask import visibility_mask
from services.provenance.watermark.payload import CHECK_BITS, PayloadCode
from services.provenance.watermark.residual import fold, luma, middle, repeat, residual, resize
from services.provenance.watermark.search import PLACES, lay, locks, turned
from services.provenance.watermark.tile import SIZE, load_tile

DEVELOPMENT_KEY = b"portcullis development watermark"
_PSNR = 42.0
# Below this peak no payload was ever read under any attack; clean pictures reach 4.8.
_LEAST_PEAK = 6.5
_LOCKS = 2
_POSES = 8
# Longest sides that pictures are made in: a copy resized as a whole is tried at each.
_HOUSE_SIDES = (256, 512, 1024)
# Of a larger picture the middle is read: the tile repeats, and a stranger's file must not cost seconds.
_LARGEST = 2048


class Detection(TypedDict):
    """What was read: uint8 `bits` of shape (nbits,), zeros where the keyed check did not agree (`ok`); peak `z`."""

    bits: Bits
    ok: bool
    z: float


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """A mark that was read.

    `z` is the synchronisation peak in standard deviations; `false_positive` bounds the probability that a picture
    without our mark is read so; `plane` is the luma with turn, scale and mirroring undone: as it lay when marked.
    """

    bits: Bits
    z: float
    false_positive: float
    plane: Floats


class Codec:
    """Writes and reads marks under one key. Holds no state that changes; safe to share between threads."""

    def __init__(self, nbits: int = 64, key: bytes = DEVELOPMENT_KEY) -> None:
        """`nbits` a multiple of 8, at most 64; `key` 16 … 64 bytes, secret."""
        self._payload = PayloadCode(nbits, key)
        self._tile = load_tile(key, self._payload.length)

    def embed(self, rgb: NDArray[np.uint8], bits: ArrayLike) -> NDArray[np.uint8]:
        """A copy of an H × W × 3 sRGB picture that carries `bits` (0 and 1, shape (nbits,)); PSNR about 42 dB.

        What is left of an earlier mark, as in an edit of a picture of ours, is taken out: two would blur each other.
        """
        grey = luma(rgb)
        strength = np.float32(255.0 / 10 ** (_PSNR / 20)) * visibility_mask(grey)
        change = strength * repeat(self._draw(np.asarray(bits, np.uint8)), grey.shape) - self._earlier(grey, strength)
        marked: NDArray[np.uint8] = np.clip(np.rint(rgb + change[..., None]), 0, 255).astype(np.uint8)
        return marked

    def _draw(self, bits: Bits) -> Floats:
        return self._tile.picture(self._tile.spectrum(self._payload.encode(bits)))

    def _earlier(self, grey: Floats, strength: Floats) -> Floats:
        """The change that an earlier mark, found at its own scale, made to a luma plane; zeros where there is none."""
        found = fold(residual(grey), SIZE)
        lock = locks(found, self._tile, 1)[0]
        if lock.z < _LEAST_PEAK:
            return np.zeros_like(grey)
        bits, ok = self._payload.decode(self._tile.soft(lock.values))
        if not ok:
            return np.zeros_like(grey)
        change = strength * repeat(lay(self._draw(bits), lock), grey.shape)
        effect = fold(residual(grey + change), SIZE) - found
        share = float(np.vdot(effect, found) / np.vdot(effect, effect))
        return np.float32(min(max(share, 0.0), 1.0)) * change

    def detect(self, rgb: NDArray[np.uint8]) -> Detection:
        """`read` in the form that codecs are measured in."""
        reading, highest = self._read(rgb)
        if reading is None:
            return Detection(bits=np.zeros(self._payload.nbits, np.uint8), ok=False, z=highest)
        return Detection(bits=reading.bits, ok=True, z=reading.z)

    def read(self, rgb: NDArray[np.uint8]) -> Reading | None:
        """Look for a mark in an H × W × 3 sRGB picture: as it lies first, then with scale and rotation undone."""
        return self._read(rgb)[0]

    def _read(self, rgb: NDArray[np.uint8]) -> tuple[Reading | None, float]:
        """The reading, and the highest peak that was seen."""
        highest = 0.0
        for views, plane in enumerate(_views(luma(rgb)), start=1):
            for lock in locks(fold(residual(plane), SIZE), self._tile, _LOCKS):
                highest = max(highest, lock.z)
                if lock.z < _LEAST_PEAK:
                    break
                bits, ok = self._payload.decode(self._tile.soft(lock.values))
                if ok:
                    risk = _false_positive(views, lock.z)
                    return Reading(bits, lock.z, risk, turned(plane, lock.turn)), highest
        return None, highest


def _views(grey: Floats) -> Iterator[Floats]:
    """The picture as it lies, then every guess at how it lay before, cheapest and likeliest first."""
    centre = middle(grey, _LARGEST)
    yield centre
    longest = max(grey.shape)
    for side in _HOUSE_SIDES:
        if side != longest:
            yield resize(grey, side / longest)
    for pose in poses(centre, _POSES):
        yield undo(centre, pose)


def _false_positive(views: int, z: float) -> float:
    """A union bound: noise must reach the peak somewhere in some view, and then pass a check of 24 bits."""
    peak = min(1.0, views * PLACES * 0.5 * math.erfc(z / math.sqrt(2.0)))
    return peak * min(1.0, views * _LOCKS * 2.0**-CHECK_BITS)
