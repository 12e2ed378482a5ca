"""Undoing a tilt: perspective, a print that lay askew under the scanner, a photograph of a screen.

From a first guess of the scale and turn, the eight freedoms of a homography less the shift are moved, one pixel and
less at a time, to where the folded picture holds most power on the tile's carriers: a comb needs neither the key nor
what is carried.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import fft

from services.provenance.watermark.code import Floats
from services.provenance.watermark.residual import residual
from services.provenance.watermark.tile import SIZE, band

_LEVEL = 31
_CLIP = 8.0
# Displacements at the picture's edge in pixels, for: width, height, two shears, two tilts.
_TILTS = (-14.0, -7.0, 0.0, 7.0, 14.0)
_STRIDES, _STEPS = (4.0, 2.0), (4.0, 2.0, 1.0, 0.5)
_ROUNDS = 2
_COARSE_RADIUS = 0.11
_CLIMBS = 2
_UNIT = 2000.0

Freedoms = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Tilt:
    """A homography by its freedoms, shape (6,), and how many deviations of power the tile's carriers then have."""

    z: float
    freedoms: Freedoms


def _z(tilt: Tilt) -> float:
    return tilt.z


class _Sight:
    """An evened plane at one resolution, with which of the band's carriers are looked at there."""

    def __init__(self, plane: Floats, size: int, used: NDArray[np.bool_]) -> None:
        # Whole numbers are warped four times as fast.
        self.plane = np.clip(plane * (_UNIT / (plane.std() + 1e-9)), -32000, 32000).astype(np.int16)
        self.size = size
        rows, columns, _ = band()
        rows = np.where(rows > SIZE // 2, rows - SIZE + size, rows)
        self.rows, self.columns = rows[used], columns[used]


class Rectifier:
    """Searches the homographies of one luma plane, about 512 pixels a side: a few milliseconds for each tried."""

    def __init__(self, grey: Floats) -> None:
        self._grey = grey
        plane = residual(grey)
        spectrum = fft.rfft2(plane)
        power = np.abs(spectrum) ** 2
        level = cv2.blur(power, (_LEVEL, _LEVEL), borderType=cv2.BORDER_REFLECT)
        even: Floats = fft.irfft2(spectrum / np.sqrt(level + 1e-6 * float(power.mean()) + 1e-9), plane.shape)
        radius = band()[2]
        self._fine = _Sight(even, SIZE, radius > 0)
        half = cv2.resize(even, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
        self._coarse = _Sight(half, SIZE // 2, radius < _COARSE_RADIUS)

    def likely(self) -> list[Tilt]:
        """The likeliest of a coarse grid of tilts, moved to where the coarser carriers fit best; best first."""
        grid = [np.array([0.0, 0.0, 0.0, 0.0, x, y]) for x, y in itertools.product(_TILTS, _TILTS)]
        scored = sorted((Tilt(self._score(tilt, self._coarse), tilt) for tilt in grid), key=_z, reverse=True)
        climbed = (self._climb(tilt, _STRIDES, self._coarse, rounds=1) for tilt in scored[:_CLIMBS])
        return sorted(climbed, key=_z, reverse=True)

    def rectified(self, starts: list[Tilt]) -> Floats:
        """The plane with the best tilt undone that is found by climbing from some starts."""
        best = max(
            (
                self._climb(Tilt(self._score(start.freedoms, self._fine), start.freedoms), _STEPS, self._fine)
                for start in starts
            ),
            key=_z,
        )
        height, width = self._grey.shape
        plane: Floats = cv2.warpPerspective(
            self._grey,
            self._matrix(best.freedoms),
            (width, height),
            flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REFLECT,
        )
        return plane

    def _climb(self, start: Tilt, steps: tuple[float, ...], sight: _Sight, rounds: int = _ROUNDS) -> Tilt:
        best = start
        for step in steps:
            for _ in range(rounds):
                before = best
                for freedom, sign in itertools.product(range(6), (-step, step)):
                    there = best.freedoms.copy()
                    there[freedom] += sign
                    best = max(best, Tilt(self._score(there, sight), there), key=_z)
                if best is before:
                    break
        return best

    def _score(self, freedoms: Freedoms, sight: _Sight) -> float:
        """z of the power on the tile's carriers once a plane is moved so."""
        plane, size = sight.plane, sight.size
        height, width = plane.shape
        scale = np.diag([size / SIZE, size / SIZE, 1.0])
        matrix = scale @ self._matrix(freedoms) @ np.linalg.inv(scale)
        moved = cv2.warpPerspective(plane, matrix, (width, height), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
        down, across = height // size, width // size
        rows = moved[: down * size, : across * size].reshape(down, size, -1).sum(axis=0, dtype=np.float32)
        tile = rows.reshape(size, across, size).sum(axis=1) / np.float32(_UNIT)
        values = fft.rfft2(tile)[sight.rows, sight.columns]
        power = (values.real**2 + values.imag**2) / (down * across * size**2)
        return float((np.minimum(power, _CLIP) - 1.0).sum() / np.sqrt(len(power)))

    def _matrix(self, freedoms: Freedoms) -> NDArray[np.float64]:
        """The homography from the rectified plane to the one seen, about the middle."""
        height, width = self._grey.shape
        half = np.array([width, height]) / 2
        x, y, shear_x, shear_y, tilt_x, tilt_y = freedoms
        centre = np.array([[1 / half[0], 0, -1], [0, 1 / half[1], -1], [0, 0, 1.0]])
        inner = np.array(
            [
                [1 + x / half[0], shear_x / half[0], 0],
                [shear_y / half[1], 1 + y / half[1], 0],
                [tilt_x / half[0], tilt_y / half[1], 1],
            ]
        )
        return np.asarray(np.linalg.inv(centre) @ inner @ centre)
