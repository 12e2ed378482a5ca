"""How much of a picture looks like skin (`concept.skin`): the share of its pixels in a range of colours.

Chai and Ngan, "Face segmentation using skin-color map in videophone applications", 1999: 77 ≤ Cb ≤ 127 and
133 ≤ Cr ≤ 173, at any brightness, so that it holds for dark and light skin alike. Sand, wood and fur are in it too: it
says how much there may be, never that it is skin.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from services.core.imaging import Rgb
from services.core.signals import ModelVersion, Signal
from services.image_filter.detectors import Found
from services.image_filter.geometry import at_most

_SIDE = 160
_LEAST, _MOST = (0, 133, 77), (255, 173, 127)  # Y, Cr, Cb


class Skin:
    """`concept.skin`: the share 0…1 of the picture in colours of skin."""

    model = ModelVersion("skin-map", "1")
    licence = "Apache-2.0"
    categories = frozenset({"concept.skin"})

    def detect(self, batch: Sequence[Rgb], found: Sequence[Found]) -> list[Found]:  # noqa: ARG002 - the protocol's
        """One signal each."""
        return [(Signal("concept.skin", skin_share(picture), self.model.source),) for picture in batch]

    def close(self) -> None:
        """Nothing is held."""


def skin_share(picture: Rgb) -> float:
    """The share 0…1 of the pixels of `picture`, (h, w, 3), that have a colour of skin."""
    small, _ = at_most(picture, _SIDE)
    inside = cv2.inRange(cv2.cvtColor(small, cv2.COLOR_RGB2YCrCb), _LEAST, _MOST)
    return float(np.count_nonzero(inside) / inside.size)
