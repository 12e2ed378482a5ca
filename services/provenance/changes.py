"""Where a copy of a registered picture was changed, as far as a sketch of 32 × 32 cells can tell.

Both are compared cell by cell, after what changes a whole picture at once (brightness, contrast, gamma, colours) was
evened out. Coarse on purpose: a change smaller than a cell may stay unseen, and nothing is said where the two do not
lie upon each other, as after a crop.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from services.core.signals import Box
from services.provenance.fingerprint import SKETCH_SIDE, Rgb, sketch_of, unpack

Plane = NDArray[np.float32]
# Mean difference of a cell, 0 … 255, that encoders, resizing and filters reach in few pictures (docs/registry.md).
_CHANGED = 28.0
_LEAST_CELLS = 2
# Half of the cells of most whole copies differ by less, those of most crops to 95% by more.
_LIES_UPON = 3.5
_MOST_CHANGED = 0.35
_FITS = 5
_MOST_BOXES = 16
_WAYS = tuple((turns, mirrored) for turns in range(4) for mirrored in (False, True))


def changed_boxes(rgb: Rgb, registered: bytes, size: tuple[int, int]) -> tuple[Box, ...]:
    """Where `rgb`, a whole copy as it lies or turned or mirrored, differs from a registered sketch, largest first.

    In pixels of a picture of `size` (width, height), which may be larger than `rgb`; at most 16 boxes. Empty where
    nothing differs or everything does.
    """
    mine, theirs = sketch_of(rgb), unpack(registered)
    way = min(_WAYS, key=lambda way: float(np.median(np.abs(np.subtract(_lay(mine, *way), theirs, dtype=np.float32)))))
    differences = _differences(_lay(mine, *way), theirs)
    changed = differences > _CHANGED
    if np.median(differences) > _LIES_UPON or changed.mean() > _MOST_CHANGED:
        return ()
    return _boxes(_lay_back(changed, *way), size)


def _lay(cells: Rgb, turns: int, mirrored: bool) -> Rgb:
    """Mirrored, then turned by quarters: in 4 × 2 ways, all in which a square can lie."""
    return np.rot90(cells[:, ::-1] if mirrored else cells, turns)


def _lay_back(cells: NDArray[np.bool_], turns: int, mirrored: bool) -> NDArray[np.bool_]:
    turned = np.rot90(cells, -turns)
    return turned[:, ::-1] if mirrored else turned


def _differences(mine: Rgb, theirs: Rgb) -> Plane:
    """The largest difference of a colour in each cell, beyond what one curve for the whole picture explains.

    The curve, of third degree in the registered colours, is fitted to the cells that lie near it: those that were
    changed must not bend it.
    """
    colours = theirs.reshape(-1, 3) / np.float32(255)
    terms = np.concatenate([np.ones((len(colours), 1), np.float32), colours, colours**2, colours**3], axis=1)
    wanted = mine.reshape(-1, 3).astype(np.float32)
    rest = np.abs(wanted - np.median(wanted - 255 * colours, axis=0) - 255 * colours).max(axis=1)
    for _ in range(_FITS):
        kept = rest <= max(3.0 * float(np.median(rest)), 3.0)
        curve, *_ = np.linalg.lstsq(terms[kept], wanted[kept], rcond=1e-3)
        rest = np.abs(wanted - np.clip(terms @ curve, 0, 255)).max(axis=1)
    cells: Plane = rest.reshape(mine.shape[:2])
    return cells


def _boxes(changed: NDArray[np.bool_], size: tuple[int, int]) -> tuple[Box, ...]:
    count, _, stats, _ = cv2.connectedComponentsWithStats(changed.astype(np.uint8), connectivity=8)
    found = [stats[number] for number in range(1, count) if stats[number, cv2.CC_STAT_AREA] >= _LEAST_CELLS]
    largest = sorted(found, key=lambda one: -int(one[cv2.CC_STAT_AREA]))[:_MOST_BOXES]
    return tuple(_in_pixels([int(value) for value in one[:4]], size) for one in largest)


def _in_pixels(cells: Sequence[int], size: tuple[int, int]) -> Box:
    x, y, w, h = cells
    left, right = (cell * size[0] // SKETCH_SIDE for cell in (x, x + w))
    top, bottom = (cell * size[1] // SKETCH_SIDE for cell in (y, y + h))
    return Box(left, top, max(1, right - left), max(1, bottom - top))
