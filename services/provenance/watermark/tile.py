"""The secret tile: which Fourier coefficients of a 128 × 128 period carry synchronisation, which carry the payload.

The key chooses everything: the coefficients, the phases of the synchronisation part, the signs and the order of the
payload's carriers. The band (radius 5 … 26 of 64) is low enough to survive JPEG and resizing by a quarter, and high
enough to stay clear of most of a picture's own energy.
"""

from __future__ import annotations

from functools import lru_cache
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from services.provenance.watermark.code import Floats

SIZE = 128
INNER, OUTER = 5.0, 26.0
_REPEATS = 4

Spectrum = NDArray[np.complex64]


def band() -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Rows and columns of the half plane's coefficients in the band, sorted by radius, as fft2 indexes them."""
    frequency = np.rint(fft.fftfreq(SIZE) * SIZE).astype(np.intp)
    v, u = np.meshgrid(frequency, frequency, indexing="ij")
    radius = np.hypot(u, v)
    inside = (radius >= INNER) & (radius <= OUTER) & ((v > 0) | ((v == 0) & (u > 0)))
    rows, columns = np.nonzero(inside)
    order = np.argsort(radius[rows, columns], kind="stable")
    return rows[order], columns[order]


class Tile:
    """One key's layout. Vectors over the band are in the order of `rows` and `columns`."""

    def __init__(self, key: bytes, coded: int) -> None:
        """`coded` is the number of signs that the payload's code makes."""
        self.rows, self.columns = band()
        self.coded = coded
        generator = np.random.Generator(np.random.PCG64(int.from_bytes(blake2b(key, person=b"mark-tile").digest())))
        carriers = coded * _REPEATS // 2
        # Every run of the radius-sorted band gives the same share to synchronisation.
        ranks = np.arange(len(self.rows))
        is_sync = np.ones(len(ranks), np.bool_)
        is_sync[np.sort(generator.permutation(len(ranks))[:carriers])] = False
        self.sync = ranks[is_sync]
        self.data = ranks[~is_sync]
        phases = generator.uniform(0.0, 2.0 * np.pi, len(self.sync))
        self.sync_values = np.exp(1j * phases).astype(np.complex64)
        self._signs = generator.choice(np.array([-1.0, 1.0], np.float32), 2 * carriers)
        # Each coded sign rides once in every quarter of the band, so that a lost quarter costs every sign the same.
        self._order = np.concatenate([generator.permutation(coded) for _ in range(_REPEATS)])

    def spectrum(self, signs: Floats) -> Spectrum:
        """Unit-magnitude coefficients over the band for coded signs ±1 of shape (coded,)."""
        values = np.empty(len(self.rows), np.complex64)
        values[self.sync] = self.sync_values
        parts = (signs[self._order] * self._signs).reshape(-1, 2) * np.float32(np.sqrt(0.5))
        values[self.data] = parts[:, 0] + 1j * parts[:, 1]
        return values

    def soft(self, values: Spectrum) -> Floats:
        """Soft coded signs of shape (coded,) from aligned coefficients over the band."""
        carried = values[self.data]
        parts = np.stack([carried.real, carried.imag], axis=1).reshape(-1) * self._signs
        return np.bincount(self._order, weights=parts, minlength=self.coded).astype(np.float32)

    def picture(self, values: Spectrum) -> Floats:
        """The real tile, SIZE × SIZE, of coefficients over the band, with a mean square of 1."""
        plane = np.zeros((SIZE, SIZE), np.complex64)
        plane[self.rows, self.columns] = values
        tile = fft.ifft2(plane).real
        unit: Floats = (tile / np.sqrt(np.mean(tile**2))).astype(np.float32)
        return unit


@lru_cache(maxsize=8)
def load_tile(key: bytes, coded: int) -> Tile:
    """The layout of a key, made once."""
    return Tile(key, coded)
