"""How sharp and rich in detail a picture is (`concept.quality`): the variance of its Laplacian.

Pech-Pacheco et al., "Diatom autofocusing in brightfield microscopy: a comparative study", 2000. Measured on the picture
shrunk to 512 pixels, so that size alone counts for nothing; v becomes v / (v + 100), for about 100 is where photographs
begin to look blurred.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from services.core.imaging import Rgb
from services.core.signals import ModelVersion, Signal
from services.image_filter.detectors import Found
from services.image_filter.geometry import at_most

_SIDE = 512
_HALF = 100.0  # the variance that makes a score of 0.5


class Sharpness:
    """`concept.quality`: 0 for a plain or blurred picture, towards 1 the sharper it is."""

    model = ModelVersion("laplacian", "1")
    licence = "Apache-2.0"
    categories = frozenset({"concept.quality"})

    def detect(self, batch: Sequence[Rgb], found: Sequence[Found]) -> list[Found]:  # noqa: ARG002 - the protocol's
        """One signal each."""
        return [(Signal("concept.quality", sharpness(picture), self.model.source),) for picture in batch]

    def close(self) -> None:
        """Nothing is held."""


def sharpness(picture: Rgb) -> float:
    """0…1 for a picture (h, w, 3)."""
    small, _ = at_most(picture, _SIDE)
    variance = float(np.var(cv2.Laplacian(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), cv2.CV_32F)))
    return variance / (variance + _HALF)
