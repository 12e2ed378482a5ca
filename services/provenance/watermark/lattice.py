"""Undoing scale and rotation: a repeated tile leaves a square lattice of peaks in a picture's autocorrelation.

The lattice's step is the tile's size times the scale, its direction is the rotation (Kutter, "Watermarking resisting
to translation, rotation, and scaling", SPIE 3528, 1998). Each octave of scales is searched in the band of frequencies
where the tile would then lie, which keeps the noise of all others out.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import fft

from services.provenance.watermark.code import Floats
from services.provenance.watermark.residual import middle, residual
from services.provenance.watermark.tile import INNER, OUTER, SIZE

_LARGEST = 1024
_SEARCHED = 768
# Scales that one band of frequencies serves; together, all that are searched.
_OCTAVES = ((0.22, 0.36), (0.34, 0.56), (0.54, 0.88), (0.84, 1.3), (1.25, 1.7))
_SMOOTH = 15
_CLIP = 4.0
_APART = 3

Index = NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Pose:
    """A guess at what was done to a picture: it shows the tile `scale` times as large, turned by `angle` radians."""

    scale: float
    angle: float


@dataclass(frozen=True, slots=True)
class _Lags:
    """An autocorrelation of deviation 1 for lags −reach … reach on both axes; 0 where the picture is too small."""

    values: Floats
    reach: int

    def at(self, dy: Index, dx: Index) -> Floats:
        found: Floats = self.values[self.reach + dy, self.reach + dx]
        return found


def poses(grey: Floats, best: int) -> list[Pose]:
    """The `best` guesses for a luma plane, likeliest first; each holds up to quarter turns and mirroring."""
    plane = residual(middle(grey, _SEARCHED))
    power, radius = _even_power(plane)
    guesses: list[tuple[float, Pose]] = []
    for least, most in _OCTAVES:
        inside = (radius > INNER / SIZE / most) & (radius < OUTER / SIZE / least)
        spectrum = np.where(inside, power - power[inside].mean(), np.float32(0.0))
        reach = 4 * (int(most * SIZE) + 1)
        guesses += _octave(_autocorrelation(spectrum, plane.shape, reach), least * SIZE, most * SIZE, best)
    guesses.sort(key=lambda guess: -guess[0])
    return [pose for _, pose in guesses[:best]]


def undo(grey: Floats, pose: Pose) -> Floats:
    """The luma plane with a pose undone, at most 1,024 pixels a side, about the picture's centre."""
    height, width = grey.shape
    cosine, sine = np.cos(pose.angle) / pose.scale, np.sin(pose.angle) / pose.scale
    wide = max(1, int(min(_LARGEST, abs(cosine) * width + abs(sine) * height)))
    high = max(1, int(min(_LARGEST, abs(sine) * width + abs(cosine) * height)))
    matrix: NDArray[np.float64] = np.array([[cosine, sine, 0.0], [-sine, cosine, 0.0]])
    matrix[:, 2] = np.array([wide - 1, high - 1]) / 2 - matrix[:, :2] @ (np.array([width - 1, height - 1]) / 2)
    if pose.scale > 1.0:
        grey = cv2.GaussianBlur(grey, (0, 0), 0.4 * pose.scale)
    turned: Floats = cv2.warpAffine(grey, matrix, (wide, high), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)
    return turned


def _even_power(plane: Floats) -> tuple[Floats, Floats]:
    """The power spectrum of a residual, evened out and padded to twice its size; and each entry's cycles per pixel."""
    height, width = (2 * fft.next_fast_len(side, real=True) for side in plane.shape)
    power = np.abs(fft.rfft2(plane, (height, width))).astype(np.float32) ** 2
    level = cv2.blur(power, (_SMOOTH, _SMOOTH), borderType=cv2.BORDER_REFLECT)
    even: Floats = np.minimum(power / (np.maximum(level, 0) + 1e-6 * float(power.mean()) + 1e-12), _CLIP)
    radius: Floats = np.hypot(fft.fftfreq(height)[:, None], fft.rfftfreq(width)[None, :]).astype(np.float32)
    return even.astype(np.float32), radius


def _autocorrelation(spectrum: Floats, shape: tuple[int, ...], reach: int) -> _Lags:
    full = fft.irfft2(spectrum, (spectrum.shape[0], 2 * (spectrum.shape[1] - 1)))
    rows, columns = (np.arange(-min(reach, side - 1), min(reach, side - 1) + 1) for side in shape[:2])
    near = full[np.ix_(rows % full.shape[0], columns % full.shape[1])]
    padding = [(reach - len(rows) // 2,) * 2, (reach - len(columns) // 2,) * 2]
    return _Lags(np.pad(near / (near.std() + 1e-12), padding).astype(np.float32), reach)


def _octave(lags: _Lags, least: float, most: float, best: int) -> list[tuple[float, Pose]]:
    """The `best` steps of `least` … `most` pixels, each with its score: the sum over four directions of the lattice."""
    y, x = (grid.astype(np.intp) for grid in np.mgrid[0 : int(most) + 1, 1 : int(most) + 1])
    score = lags.at(y, x) + lags.at(x, -y) + lags.at(y + x, x - y) + lags.at(y - x, x + y)
    distance = np.hypot(y, x)
    score[(distance < least) | (distance > most)] = -np.inf
    found = []
    for _ in range(best):
        row, column = (int(index) for index in np.unravel_index(int(score.argmax()), score.shape))
        dy, dx = _follow(lags, float(y[row, column]), float(x[row, column]))
        found.append((float(score[row, column]), Pose(float(np.hypot(dy, dx)) / SIZE, float(np.arctan2(dy, dx)))))
        score[max(0, row - _APART) : row + _APART + 1, max(0, column - _APART) : column + _APART + 1] = -np.inf
    return found


def _follow(lags: _Lags, dy: float, dx: float) -> tuple[float, float]:
    """The step between pixels: farther peaks of the lattice tell it more finely."""
    for times in (1, 2, 3):
        if max(abs(times * dy), abs(times * dx)) > lags.reach - 4:
            break
        ay, ax = _peak_near(lags, times * dy, times * dx)
        by, bx = _peak_near(lags, times * dx, -times * dy)
        dy, dx = (ay - bx) / (2 * times), (ax + by) / (2 * times)
    return dy, dx


def _peak_near(lags: _Lags, dy: float, dx: float) -> tuple[float, float]:
    """The highest point within two pixels of a lag, as the centre of the peak's mass."""
    top, left = round(lags.reach + dy) - 2, round(lags.reach + dx) - 2
    window = lags.values[top : top + 5, left : left + 5]
    row, column = (int(index) for index in np.unravel_index(int(window.argmax()), window.shape))
    row, column = min(max(row, 1), 3), min(max(column, 1), 3)
    peak = np.maximum(window[row - 1 : row + 2, column - 1 : column + 2], 0) + 1e-6
    offsets = np.arange(-1, 2)
    below, right = float(peak.sum(1) @ offsets / peak.sum()), float(peak.sum(0) @ offsets / peak.sum())
    return top + row + below - lags.reach, left + column + right - lags.reach
