"""From a picture to the part of it where a mark can be: luma without its slow part, evened out.

Dividing by the local deviation is what a matched filter asks for where the mark's strength follows the texture's.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import fft

from services.provenance.watermark.code import Floats
from services.provenance.watermark.tile import SIZE

_SLOW = 4.5
_WINDOW = 9
_FLOOR = 2.0
_EVENNESS = 1.5
_DEAD = 0.05


def luma(rgb: NDArray[np.uint8]) -> Floats:
    """BT.601 luma 0 … 255 of H × W × 3 sRGB bytes."""
    grey: Floats = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY).astype(np.float32)
    return grey


def fast(grey: Floats) -> Floats:
    """A plane without its slow part."""
    part: Floats = grey - cv2.GaussianBlur(grey, (0, 0), _SLOW, borderType=cv2.BORDER_REFLECT)
    return part


def residual(grey: Floats) -> Floats:
    """The evened-out fast part of a luma plane, zero where the plane is flat."""
    rough = fast(grey)
    power = cv2.blur(rough * rough, (_WINDOW, _WINDOW), borderType=cv2.BORDER_REFLECT)
    even: Floats = rough / (np.sqrt(np.maximum(power, 0)) + np.float32(_FLOOR)) ** np.float32(_EVENNESS)
    return even


def middle(plane: Floats, side: int) -> Floats:
    """The middle of a plane, at most `side` pixels high and wide."""
    top, left = (max(0, length - side) // 2 for length in plane.shape)
    return plane[top : top + side, left : left + side]


def liveliest(plane: Floats, side: int) -> Floats:
    """The window of a plane, the middle or a corner, at most `side` pixels high and wide, with the least dead ground.

    A mark leaves no pixel quite as its neighbours: where they are alike, as under a sticker, there is none to find.
    """
    height, width = plane.shape
    if max(height, width) <= side:
        return plane
    rough = np.abs(plane - cv2.blur(plane, (3, 3))) < _DEAD
    tops, lefts = (sorted({0, max(0, length - side) // 2, max(0, length - side)}) for length in plane.shape)
    windows = [(slice(top, top + side), slice(left, left + side)) for top in tops for left in lefts]
    middle_first = sorted(
        windows, key=lambda window: abs(window[0].start - tops[-1] // 2) + abs(window[1].start - lefts[-1] // 2)
    )
    return plane[min(middle_first, key=lambda window: float(rough[window].mean()) > 0.5)]


def repeat(tile: Floats, shape: tuple[int, ...]) -> Floats:
    """A square tile, repeated from the upper left corner over a plane of a shape."""
    height, width = shape
    pattern: Floats = np.tile(tile, (-(-height // len(tile)), -(-width // len(tile))))[:height, :width]
    return pattern


def summed(plane: Floats) -> Floats:
    """The sum of a plane over all its SIZE × SIZE periods, the cut ones at the right and lower edge included."""
    height, width = plane.shape
    padded = np.pad(plane, ((0, -height % SIZE), (0, -width % SIZE)))
    tile: Floats = padded.reshape(padded.shape[0] // SIZE, SIZE, padded.shape[1] // SIZE, SIZE).sum(axis=(0, 2))
    return tile


def folded(plane: Floats) -> Floats:
    """What a plane holds of any SIZE × SIZE tile, in units of the noise around it, as such a tile.

    The sum over all periods, each of its coefficients divided by the plane's own level between the tile's frequencies,
    where no mark lies: a matched filter for whatever texture the picture has.
    """
    height, width = (max(2 * SIZE, -(-side // SIZE) * SIZE) for side in plane.shape)
    padded = np.zeros((height, width), np.float32)
    padded[: plane.shape[0], : plane.shape[1]] = plane
    spectrum = fft.rfft2(padded)
    down, across = height // SIZE, width // SIZE
    lattice = spectrum[::down, ::across].copy()
    power = spectrum.real**2 + spectrum.imag**2
    power[::down, ::across] = 0.0
    cells = power[:, :-1].reshape(SIZE, down, SIZE // 2, across).sum(axis=(1, 3)) / (down * across - 1)
    cells = cells + np.roll(cells, 1, axis=0)
    level = 0.25 * (np.pad(cells, ((0, 0), (0, 1)), mode="edge") + np.pad(cells, ((0, 0), (1, 0)), mode="edge"))
    tile: Floats = fft.irfft2(lattice / np.sqrt(level + 1e-9), (SIZE, SIZE))
    return tile
