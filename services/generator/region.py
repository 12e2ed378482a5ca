"""The square of an upload that an edit or a variation works on, and putting the result back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Rgb = NDArray[np.uint8]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Square:
    """A square of the picture in pixels; may reach beyond its borders, where the border's pixels are repeated."""

    top: int
    left: int
    side: int

    def cut(self, array: NDArray[np.generic]) -> NDArray[np.generic]:
        """The square out of (H, W, …)."""
        rows = np.clip(np.arange(self.top, self.top + self.side), 0, array.shape[0] - 1)
        columns = np.clip(np.arange(self.left, self.left + self.side), 0, array.shape[1] - 1)
        return array[rows[:, None], columns[None, :]]


def square_around(mask: Mask) -> Square:
    """The largest square inside the picture that holds all of `mask` (not empty), or the smallest that does.

    Large, because the model draws what stands in the mask to fit what stands around it.
    """
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    height, width = mask.shape
    side = max(min(height, width), int(np.ptp(rows)) + 1, int(np.ptp(columns)) + 1)
    return Square(_start(rows, side, height), _start(columns, side, width), side)


def centre_square(height: int, width: int) -> Square:
    """The largest square in the middle."""
    side = min(height, width)
    return Square((height - side) // 2, (width - side) // 2, side)


def _start(marked: NDArray[np.intp], side: int, length: int) -> int:
    """Where the square begins along one axis: around the middle of what is marked, inside the picture if it can be."""
    middle = (int(marked[0]) + int(marked[-1]) + 1) // 2
    start = middle - side // 2
    return min(max(start, 0), length - side) if side <= length else (length - side) // 2


def put_back(image: Rgb, mask: Mask, square: Square, patch: Rgb) -> Rgb:
    """`image` with the pixels of `mask` taken from `patch` (side, side, 3); all others bit-exact as they were."""
    result = image.copy()
    rows, columns = np.nonzero(mask)
    result[rows, columns] = patch[rows - square.top, columns - square.left]
    return result
