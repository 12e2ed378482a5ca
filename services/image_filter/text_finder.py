"""Finds where text may stand: our own small network, so that what has none is never read.

`models/text/README.md` says what it was made from and how it is judged. One cell of its map stands for 16 × 16 pixels;
it looks at the picture whole, at a quarter and at a sixteenth, so that letters of 7 to 700 pixels are seen.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from services.core.artifacts import file_sha256, load_artifact
from services.core.imaging import Rgb
from services.core.signals import ModelVersion
from services.image_filter.onnx_session import open_session

Map = NDArray[np.float32]

_CELL = 16
_SHRINK = 4  # from one look to the next
_LOOKS = 3
# P(text) of three cells side by side that opens the gate; chosen on held-out pictures, see the model's card.
_SURE = 0.7
_OTHER = 0.6  # what is worth reading where the gate is open
_LIKELY = 0.4  # what lies around such cells and belongs to them


@dataclass(frozen=True, slots=True)
class Region:
    """A rectangle that may hold text, in pixels and within the picture: `x`, `y`, `w`, `h`.

    `letters` is the height of its smaller capitals in pixels, `score` the P(text) that three cells side by side reach.
    """

    x: int
    y: int
    w: int
    h: int
    letters: float
    score: float


class TextFinder:
    """The network and what becomes of its map. ConfigurationError where the model is missing or another than meant."""

    def __init__(self, uri: str, sha256: str = "") -> None:
        path = load_artifact(uri, sha256)
        self._session = open_session(path)
        self.model = ModelVersion("text-finder", "1", file_sha256(path))

    def find(self, picture: Rgb) -> list[Region]:
        """Where text may stand in (h, w, 3) uint8, surest first; empty where there is none."""
        longest = max(picture.shape[:2])
        factors = [_SHRINK**look for look in range(_LOOKS) if not look or longest // _SHRINK**look >= 2 * _CELL]
        # Each look by itself: a page of small letters looks like larger ones from afar.
        regions = [region for factor in factors for region in self._regions(picture, factor)]
        if max((region.score for region in regions), default=0.0) < _SURE:
            return []
        return sorted(regions, key=lambda region: -region.score)

    def _regions(self, picture: Rgb, factor: int) -> list[Region]:
        """Where text may stand as far as the picture shrunk by `factor` shows."""
        text, letters = self._look(picture, factor)
        steady = _third(text)
        near = cv2.dilate((text >= _LIKELY).astype(np.uint8), np.ones((3, 3), np.uint8))
        count, labels = cv2.connectedComponents(near, connectivity=8)
        parts = [labels == label for label in range(1, count)]
        return [
            _region(cells, letters[cells & (text >= _LIKELY)] * factor, float(steady[cells].max()), factor, picture)
            for cells in parts
            if steady[cells].max() >= _OTHER
        ]

    def _look(self, picture: Rgb, factor: int) -> Map:
        """(2, h, w): the maps of the picture shrunk by `factor`, one cell for what is left of 16 · factor pixels."""
        height, width = picture.shape[:2]
        size = max(1, width // factor), max(1, height // factor)
        small = picture if factor == 1 else cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
        rows, columns = (-(-side // (_CELL * factor)) * _CELL for side in (height, width))
        bottom, right = max(0, rows - small.shape[0]), max(0, columns - small.shape[1])
        if bottom or right:
            small = cv2.copyMakeBorder(small, 0, bottom, 0, right, cv2.BORDER_REPLICATE)
        maps: Map = self._session.run(None, {"pictures": cv2.dnn.blobFromImage(small)})[0][0]
        return maps


def _third(cells: Map) -> Map:
    """The third highest of each cell and its eight neighbours: one cell alone is no text."""
    around = sliding_window_view(np.pad(cells, 1), (3, 3)).reshape(*cells.shape, 9)
    return np.partition(around, -3, axis=2)[..., -3]


def _region(cells: NDArray[np.bool_], letters: Map, score: float, factor: int, picture: Rgb) -> Region:
    """The rectangle around `cells`, two letters wider on each side: where a text ends is the least sure."""
    height, cell = float(np.percentile(letters, 30)), _CELL * factor
    ys, xs = np.nonzero(cells)
    pad = round(2 * height)
    left, top = max(0, int(xs.min()) * cell - pad), max(0, int(ys.min()) * cell - pad)
    right = min(picture.shape[1], (int(xs.max()) + 1) * cell + pad)
    bottom = min(picture.shape[0], (int(ys.max()) + 1) * cell + pad)
    return Region(left, top, right - left, bottom - top, height, score)
