"""Undoing scale and rotation: a repeated tile leaves a comb of peaks in a picture's power spectrum.

The comb's step is one over the tile's size times the scale, its direction is the rotation, whatever the tile carries
and wherever it begins. Every scale and angle is scored by the power at all places where the tile's carriers would then
be, in units of the level around them: under noise alone that sum is normal, with a known deviation.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import fft

from services.provenance.watermark.code import Floats
from services.provenance.watermark.residual import middle, residual
from services.provenance.watermark.tile import SIZE, Index, band

_LARGEST = 1024
_SEARCHED = 512
_PADDED = 1024
LEAST_SCALE, MOST_SCALE = 0.22, 2.2
_HIGHEST = 0.47
_LEVEL = 31
_CLIP = 6.0
_COARSE_RADIUS = 0.115
_COARSE_STEP = 0.011
_KEPT = 32
_FINE = 12


@dataclass(frozen=True, slots=True)
class Pose:
    """A guess at what was done to a picture: it shows the tile `scale` times as large, turned by `angle` radians."""

    scale: float
    angle: float
    z: float


class _Comb:
    """The evened power spectrum of a plane, mean 0 and deviation 1 where there is nothing but noise."""

    def __init__(self, grey: Floats) -> None:
        plane = residual(middle(grey, _SEARCHED))
        power = np.abs(fft.rfft2(plane, (_PADDED, _PADDED))) ** 2
        level = cv2.blur(power, (_LEVEL, _LEVEL), borderType=cv2.BORDER_REFLECT)
        even = np.minimum(power / (level + 1e-6 * float(power.mean()) + 1e-12), _CLIP) - 1.0
        self._even: Floats = even.astype(np.float32).ravel()
        self._even[0] = 0.0

    def coarse(self, best: int) -> NDArray[np.float64]:
        """The `best` of all scales and angles by the coarser carriers: (2, best)."""
        grid, places, counts = _coarse_grid()
        score = self._even[places].sum(axis=1) / counts
        return grid[:, np.argpartition(score, -best)[-best:]]

    def score(self, scales: NDArray[np.float64], angles: NDArray[np.float64]) -> Floats:
        """z for pairs of scales and angles, both of one shape (n,), by all carriers."""
        places, counts = _places(scales, angles, 1.0)
        z: Floats = self._even[places].sum(axis=1) / counts
        return z


def _places(scales: NDArray[np.float64], angles: NDArray[np.float64], most_radius: float) -> tuple[Index, Floats]:
    """Where a comb's carriers would be in the flattened spectrum, and the deviation of their sum under noise."""
    rows, columns, radius = band()
    used = radius <= most_radius
    v, u = fft.fftfreq(SIZE)[rows[used]], fft.rfftfreq(SIZE)[columns[used]]
    cosine, sine = (np.cos(angles) / scales)[:, None], (np.sin(angles) / scales)[:, None]
    down, across = v * cosine + u * sine, u * cosine - v * sine
    seen = np.maximum(np.abs(down), np.abs(across)) < _HIGHEST
    sign = np.where(across < 0, -_PADDED, _PADDED)
    row, column = np.rint(down * sign).astype(np.int32) % _PADDED, np.rint(across * sign).astype(np.int32)
    places = np.where(seen, row * (_PADDED // 2 + 1) + column, 0).astype(np.intp)
    deviation: Floats = np.sqrt(np.maximum(seen.sum(axis=1), 16)).astype(np.float32)
    return places, deviation


@lru_cache(maxsize=1)
def _coarse_grid() -> tuple[NDArray[np.float64], Index, Floats]:
    scales = np.exp(np.arange(np.log(LEAST_SCALE), np.log(MOST_SCALE), _COARSE_STEP))
    angles = np.arange(-np.pi / 4, np.pi / 4, _COARSE_STEP)
    grid = np.stack([axis.ravel() for axis in np.meshgrid(scales, angles, indexing="ij")])
    return grid, *_places(grid[0], grid[1], _COARSE_RADIUS)


def poses(grey: Floats, best: int) -> list[Pose]:
    """The `best` guesses for a luma plane, likeliest first; each holds up to quarter turns and mirroring."""
    comb = _Comb(grey)
    guesses = comb.coarse(_KEPT)
    for step, kept in ((0.0045, _KEPT), (0.0015, _FINE)):
        guesses, score = _refine(comb, guesses, step)
        order = np.argsort(-score)[:kept]
        guesses, score = guesses[:, order], score[order]
    return _distinct(guesses, score, best)


def _refine(comb: _Comb, guesses: NDArray[np.float64], step: float) -> tuple[NDArray[np.float64], Floats]:
    near = step * np.arange(-2, 3)
    ds, da = (axis.ravel() for axis in np.meshgrid(near, near, indexing="ij"))
    scales = guesses[0][:, None] * np.exp(ds)
    angles = guesses[1][:, None] + da
    score = comb.score(scales.ravel(), angles.ravel()).reshape(scales.shape)
    top = score.argmax(axis=1)
    picked = np.arange(len(top))
    return np.stack([scales[picked, top], angles[picked, top]]), score[picked, top]


def _distinct(guesses: NDArray[np.float64], score: Floats, best: int) -> list[Pose]:
    found: list[Pose] = []
    for place in np.argsort(-score).tolist():
        scale, angle = guesses[:, place].tolist()
        if all(abs(np.log(scale / pose.scale)) + abs(angle - pose.angle) > 0.004 for pose in found):
            found.append(Pose(scale, angle, float(score[place])))
        if len(found) == best:
            break
    return found


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
