"""The invisible mark: writes up to 64 bits into a picture, and finds them again in a changed copy."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypedDict

import numpy as np
from numpy.typing import ArrayLike, NDArray

from services.provenance.watermark.code import Bits, Floats
from services.provenance.watermark.drawing import drawn, without
from services.provenance.watermark.payload import PayloadCode
from services.provenance.watermark.residual import folded, luma, residual
from services.provenance.watermark.search import PLACES, Lock, fit, locks, scan, settled_weights, turned
from services.provenance.watermark.tile import Spectrum, Tile, load_tile
from services.provenance.watermark.views import Effort, View, views

DEVELOPMENT_KEY = b"portcullis development watermark"
# How many places are decoded, of how many that synchronisation proposes, where they match by so many deviations.
_TRIED, _TRIED_QUICKLY = (12, 96), (3, 16)
# Where nothing else speaks for a mark, it must be one that noise does not reach.
_LEAST_LOCK, _LEAST_SURE_LOCK = 5.5, 6.2
# Nothing is called a mark where noise would look so with more than this probability, by a bound.
RELIABLE = 1e-9
# Pictures are a little rougher than noise: over 430 million places their fits had the tail of this deviation.
_ROUGHNESS = 1.08


class Detection(TypedDict):
    """What was read: uint8 `bits` of shape (nbits,), zeros where no mark was found (`ok`); the match `z`."""

    bits: Bits
    ok: bool
    z: float


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """A mark that was read.

    `z` is how well the whole mark fits, in standard deviations; `false_positive` bounds the probability that a picture
    without our mark is read so; `plane` is the luma with turn, scale, tilt and mirroring undone: as it lay when marked.
    """

    bits: Bits
    z: float
    false_positive: float
    plane: Floats


@dataclass(frozen=True, slots=True)
class _Epoch:
    """One key's payload code and tile."""

    payload: PayloadCode
    tile: Tile

    def spectrum(self, bits: Bits) -> tuple[Spectrum, int]:
        variant = self.payload.variant(bits)
        return self.tile.spectrum(self.payload.encode(bits), variant), variant

    def decode(self, lock: Lock) -> tuple[Bits, float] | None:
        """What a lock carries and how well the whole mark fits; by two ways to weigh the band."""
        for weights in (lock.weights, settled_weights(self.tile, lock)):
            bits = self.payload.decode(self.tile.soft(lock.values * weights, lock.variant), lock.variant)
            if bits is not None:
                return bits, self._fit(lock, bits, weights)
        return None

    def expected(self, bits: Bits) -> Spectrum:
        """The coefficients of these bits at unit magnitudes, 0 where nothing is carried."""
        return self.spectrum(bits)[0] / self.tile.amplitudes

    def _fit(self, lock: Lock, bits: Bits, weights: Floats) -> float:
        used = self.tile.used
        match = float((lock.values * weights * np.conj(self.expected(bits))).real.sum())
        return match / math.sqrt(float((weights[used] ** 2).sum()) / 2)


class Codec:
    """Writes marks under one key and reads them under several. Holds no state that changes; safe between threads."""

    def __init__(self, nbits: int = 64, key: bytes = DEVELOPMENT_KEY, retired: Sequence[bytes] = ()) -> None:
        """`nbits` a multiple of 8, at most 64; `key` 16 … 64 bytes, secret; `retired` keys of earlier epochs."""
        self._nbits = nbits
        codes = [PayloadCode(nbits, each) for each in (key, *retired)]
        self._epochs = [_Epoch(code, load_tile(code.key, code.length)) for code in codes]

    def embed(self, rgb: NDArray[np.uint8], bits: ArrayLike, *, edited: bool = False) -> NDArray[np.uint8]:
        """A copy of an H × W × 3 sRGB picture that carries `bits` (0 and 1, shape (nbits,)).

        `edited`: the picture may hold an earlier mark, which is taken out first: two would blur each other.
        """
        if edited:
            rgb = self._cleaned(rgb)
        epoch = self._epochs[0]
        return drawn(rgb, epoch.tile, *epoch.spectrum(np.asarray(bits, np.uint8)))

    def _cleaned(self, rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
        view = folded(residual(luma(rgb)))
        for epoch in self._epochs:
            for lock in locks(view, epoch.tile, *_TRIED_QUICKLY):
                found = epoch.decode(lock)
                if found:
                    return without(rgb, epoch.tile, *epoch.spectrum(found[0]), lock)
        return rgb

    def detect(self, rgb: NDArray[np.uint8]) -> Detection:
        """`read` in the form that codecs are measured in."""
        reading = self.read(rgb)
        if reading is None:
            return Detection(bits=np.zeros(self._nbits, np.uint8), ok=False, z=0.0)
        return Detection(bits=reading.bits, ok=True, z=reading.z)

    def read(self, rgb: NDArray[np.uint8], effort: Effort = "full") -> Reading | None:
        """Look for a mark in an H × W × 3 sRGB picture, cheapest way first.

        `effort` "fast" looks at the middle as it lies; "full" also undoes scale, rotation and tilt where the picture
        holds a trace of a tile, and looks for marks that lost their synchronisation.
        """
        tried = 0
        for view in views(luma(rgb), effort):
            tile = folded(residual(view.plane))
            for epoch in self._epochs:
                tried += 1
                found = self._search(view, tile, epoch)
                if found is None:
                    continue
                lock, bits, z = found
                risk = _by_chance(tried, z, marks=2.0**self._nbits)
                if risk <= RELIABLE:
                    return Reading(bits, z, risk, turned(view.plane, lock.turn))
        return None

    def confirm(self, rgb: NDArray[np.uint8], bits: ArrayLike) -> float:
        """Look for one given payload, as of a picture that the registry finds alike, where `read` finds none.

        Knowing all that should be there, this finds far fainter marks. Returns an upper bound on the probability that
        a picture without that mark fits it as well; above RELIABLE there is nothing to rely on.
        """
        payload = np.asarray(bits, np.uint8)
        expected = [(epoch.tile, epoch.expected(payload)) for epoch in self._epochs]
        least, tried = 1.0, 0
        for view in views(luma(rgb), "full"):
            if view.unsynchronised:
                continue
            seen = folded(residual(view.plane))
            for tile, spectrum in expected:
                tried += 1
                least = min(least, _by_chance(tried, fit(seen, tile, spectrum)))
            if least <= RELIABLE:
                break
        return least

    def _search(self, view: View, tile: Floats, epoch: _Epoch) -> tuple[Lock, Bits, float] | None:
        if view.unsynchronised:
            proposed = scan(tile, epoch.tile)
        else:
            proposed = locks(tile, epoch.tile, *(_TRIED if view.suspected else _TRIED_QUICKLY))
        for lock in proposed:
            if lock.z < (_LEAST_LOCK if view.suspected else _LEAST_SURE_LOCK):
                break
            found = epoch.decode(lock)
            if found:
                return lock, *found
        return None


def _by_chance(tried: int, z: float, marks: float = 1.0) -> float:
    """A union bound: noise must fit one of so many marks at one place of one view as well as this."""
    return min(1.0, tried * PLACES * marks * 0.5 * math.erfc(z / _ROUGHNESS / math.sqrt(2.0)))
