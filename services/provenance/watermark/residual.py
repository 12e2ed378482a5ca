"""From a picture to the part of it where a mark can be: luma without its slow part, evened out.

Dividing by the local deviation is what a matched filter asks for where the mark's strength follows the texture's.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from services.provenance.watermark.code import Floats

_SLOW = 4.5
_WINDOW = 9
_FLOOR = 1.5


def luma(rgb: NDArray[np.uint8]) -> Floats:
    """BT.601 luma 0 … 255 of H × W × 3 sRGB bytes."""
    grey: Floats = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY).astype(np.float32)
    return grey


def residual(grey: Floats) -> Floats:
    """The evened-out fast part of a luma plane, of about unit deviation everywhere, zero where the plane is flat."""
    fast = grey - cv2.GaussianBlur(grey, (0, 0), _SLOW, borderType=cv2.BORDER_REFLECT)
    power = cv2.blur(fast * fast, (_WINDOW, _WINDOW), borderType=cv2.BORDER_REFLECT)
    even: Floats = fast / np.sqrt(np.maximum(power, 0) + _FLOOR**2)
    return even


def middle(plane: Floats, side: int) -> Floats:
    """The middle of a plane, at most `side` pixels high and wide."""
    top, left = (max(0, length - side) // 2 for length in plane.shape)
    return plane[top : top + side, left : left + side]


def resize(plane: Floats, factor: float) -> Floats:
    """The whole plane, `factor` times as large, at least 1 pixel a side."""
    width, height = (max(1, round(length * factor)) for length in plane.shape[::-1])
    method = cv2.INTER_AREA if factor < 1.0 else cv2.INTER_CUBIC
    resized: Floats = cv2.resize(plane, (width, height), interpolation=method)
    return resized


def repeat(tile: Floats, shape: tuple[int, ...]) -> Floats:
    """A square tile, repeated from the upper left corner over a plane of a shape."""
    height, width = shape
    pattern: Floats = np.tile(tile, (-(-height // len(tile)), -(-width // len(tile))))[:height, :width]
    return pattern


def fold(plane: Floats, size: int) -> Floats:
    """Sum a plane over all its size × size periods, the cut ones at the right and lower edge included."""
    height, width = plane.shape
    padded = np.pad(plane, ((0, -height % size), (0, -width % size)))
    folded: Floats = padded.reshape(padded.shape[0] // size, size, padded.shape[1] // size, size).sum(axis=(0, 2))
    return folded
