"""The visible signature: five coloured squares in the lower right corner, as DALL·E 2 had.

Anyone can draw it or crop it off, so it tells people, and proves nothing.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

PALETTE: NDArray[np.uint8] = np.array(
    [(255, 255, 102), (66, 255, 255), (81, 218, 76), (255, 110, 60), (60, 70, 255)], np.uint8
)
_SIDES = 64  # the picture's shorter side, in squares
_TOLERANCE = 90.0


def _side(height: int, width: int) -> int:
    return max(1, round(min(height, width) / _SIDES))


def draw(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A copy of an H × W × 3 sRGB picture (8 pixels a side at least) with the bar in its corner."""
    side = _side(*rgb.shape[:2])
    signed = rgb.copy()
    signed[-side:, -side * len(PALETTE) :] = np.repeat(PALETTE, side, axis=0)
    return signed


def detect(rgb: NDArray[np.uint8]) -> bool:
    """Whether every square of the bar is where it would be, within what JPEG and rescaling do to colours."""
    side = _side(*rgb.shape[:2])
    corner = rgb[-side:, -side * len(PALETTE) :].astype(np.float32)
    inset = side // 4
    squares = corner.reshape(side, len(PALETTE), side, 3)[inset : side - inset, :, inset : side - inset]
    distance = np.linalg.norm(squares.mean(axis=(0, 2)) - PALETTE, axis=1)
    return bool(distance.max() <= _TOLERANCE)
