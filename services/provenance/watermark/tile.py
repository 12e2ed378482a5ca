"""The secret tile: which Fourier coefficients of a 80 × 80 period carry what, and the codebook of its variants.

Three kinds of carriers share the band. *Sync* is the same in every picture and tells where the tile lies. *Pilots* tell
which of the codebook's variants this picture has; they, the payload's signs and the tile's own shift belong to that
variant, so that an average over many pictures holds next to nothing of each. The variant is chosen by the payload and
the key. The band is low enough to survive JPEG and a resize by a quarter, and high enough to stay clear of most of a
picture's own energy.
"""

from __future__ import annotations

from functools import cached_property, lru_cache
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from services.provenance.watermark.code import RATE, Floats

SIZE = 80
VARIANTS = 1024
# In cycles per pixel.
INNER, OUTER = 0.043, 0.178
_SYNC, _PILOTS = 20, 24
# Sync and pilots ride where the hardest copies keep most; the finer, the weaker, for it shows more.
_ROBUST = 0.155
_LOUDER = 1.4
_NEAR = 0.012

Spectrum = NDArray[np.complex64]
Index = NDArray[np.intp]


def band() -> tuple[Index, Index, Floats]:
    """Rows, columns (as rfft2 indexes them) and radii of the band's coefficients, sorted by radius."""
    v, u = np.meshgrid(fft.fftfreq(SIZE), fft.rfftfreq(SIZE), indexing="ij")
    radius = np.hypot(v, u)
    inside = (radius >= INNER) & (radius <= OUTER) & ((u > 0) | (v > 0))
    rows, columns = np.nonzero(inside)
    order = np.argsort(radius[inside], kind="stable")
    return rows[order], columns[order], radius[inside][order].astype(np.float32)


class Tile:
    """One key's layout and codebook. Vectors over the band are in the order of `rows` and `columns`."""

    def __init__(self, key: bytes, coded: int) -> None:
        """`coded` is the number of signs that the payload's code makes, a multiple of its rate."""
        self.rows, self.columns, self.radius = band()
        self.v = fft.fftfreq(SIZE)[self.rows].astype(np.float32)
        self.u = fft.rfftfreq(SIZE)[self.columns].astype(np.float32)
        self.amplitudes = (INNER / self.radius).astype(np.float32)
        generator = np.random.Generator(np.random.PCG64(int.from_bytes(blake2b(key, person=b"mark-tile").digest())))
        parts = np.array_split(np.arange(int(np.searchsorted(self.radius, _ROBUST))), _SYNC + _PILOTS)
        known = generator.permutation([generator.choice(part) for part in parts])
        self.sync, self.pilots = np.sort(known[:_SYNC]), np.sort(known[_SYNC:])
        self.amplitudes[np.concatenate([self.sync, self.pilots])] *= np.float32(_LOUDER)
        free = np.setdiff1d(np.arange(len(self.rows)), np.concatenate([self.sync, self.pilots]))
        # The finest carriers are the weakest: what the code does not need of them stays empty.
        self.data = free[: coded // 2]
        self.known = np.concatenate([self.sync, self.pilots])
        self.used = np.sort(np.concatenate([self.known, self.data]))
        near = self.radius[:, None] - self.radius[None, self.known]
        self.nearness = np.exp(-0.5 * (near / _NEAR) ** 2).astype(np.float32)
        self.sync_values = _phasors(generator, _SYNC)
        self.pilot_values = _phasors(generator, VARIANTS, _PILOTS)
        self.shifts = generator.integers(0, SIZE, (VARIANTS, 2))
        self._signs = generator.choice(np.array([-1.0, 1.0], np.float32), (VARIANTS, coded))
        # Each of the signs that one step of the code makes rides in another part of the band, none always in the same:
        # a copy that keeps but the coarse part keeps some of every kind.
        steps = coded // RATE
        kinds = generator.permuted(np.tile(np.arange(RATE), (steps, 1)), axis=1)
        self._order = np.concatenate([generator.permutation(np.arange(steps) * RATE + kind) for kind in kinds.T])

    @cached_property
    def waves(self) -> Floats:
        """The pilots' cosines, then their sines, at every pixel: (2 * pilots, SIZE * SIZE)."""
        rows, columns = np.divmod(np.arange(SIZE * SIZE, dtype=np.float32), SIZE)
        turns = 2 * np.pi * (self.v[self.pilots][:, None] * rows + self.u[self.pilots][:, None] * columns)
        waves: Floats = np.concatenate([np.cos(turns), np.sin(turns)]).astype(np.float32)
        return waves

    def spectrum(self, signs: Floats, variant: int) -> Spectrum:
        """Coefficients over the band for coded signs ±1 of shape (coded,), of mean square about 1; 0 where empty."""
        values = np.zeros(len(self.rows), np.complex64)
        values[self.sync] = self.sync_values
        values[self.pilots] = self.pilot_values[variant]
        parts = (signs[self._order] * self._signs[variant]).reshape(-1, 2) * np.float32(np.sqrt(0.5))
        values[self.data] = parts[:, 0] + 1j * parts[:, 1]
        return values * self.amplitudes

    def soft(self, values: Spectrum, variant: int) -> Floats:
        """Soft coded signs of shape (coded,) from aligned, weighted coefficients over the band."""
        carried = values[self.data]
        parts = np.stack([carried.real, carried.imag], axis=1).reshape(-1) * self._signs[variant]
        signs = np.empty(len(parts), np.float32)
        signs[self._order] = parts
        return signs

    def picture(self, values: Spectrum, variant: int) -> Floats:
        """The real tile, SIZE × SIZE, of coefficients over the band, where this variant lies; mean square 1."""
        half = np.zeros((SIZE, SIZE // 2 + 1), np.complex64)
        half[self.rows, self.columns] = values
        axis = self.columns == 0
        half[-self.rows[axis], 0] = np.conj(values[axis])
        tile = np.roll(fft.irfft2(half, (SIZE, SIZE)), self.shifts[variant], axis=(0, 1))
        unit: Floats = (tile / np.sqrt(np.mean(tile**2))).astype(np.float32)
        return unit

    def moved(self, values: Spectrum, dy: float | Floats, dx: float | Floats) -> Spectrum:
        """The coefficients (…, band) of tiles that begin at (dy, dx) pixels, as if they began at (0, 0)."""
        back: Spectrum = (values * np.exp(2j * np.pi * (self.v * dy + self.u * dx))).astype(np.complex64)
        return back


def _phasors(generator: np.random.Generator, *shape: int) -> Spectrum:
    phases: Spectrum = np.exp(1j * generator.uniform(0.0, 2.0 * np.pi, shape)).astype(np.complex64)
    return phases


@lru_cache(maxsize=8)
def load_tile(key: bytes, coded: int) -> Tile:
    """The layout of a key, made once."""
    return Tile(key, coded)
