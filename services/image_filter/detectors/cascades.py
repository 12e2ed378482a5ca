"""Finds what may be a face: OpenCV's Haar cascades, frontal and profile.

They fire on drawn faces as well and on some things that are no face: whether a find is a photograph of a face is for
`photo` to say. (Viola and Jones, "Rapid object detection using a boosted cascade of simple features", 2001.)
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from threading import local

import cv2
import numpy as np
from numpy.typing import NDArray

from services.core.errors import ConfigurationError
from services.core.imaging import Rgb
from services.core.signals import ModelVersion, Signal
from services.image_filter.detectors import Found
from services.image_filter.geometry import at_most, scaled_box

_FRONTAL, _PROFILE = "haarcascade_frontalface_alt2.xml", "haarcascade_profileface.xml"
_SIDES = {_FRONTAL: 384, _PROFILE: 256}  # longest side that each looks at: time grows with the area
_STEP, _NEIGHBOURS, _SMALLEST = 1.15, 2, 20
_SCORE = 0.5  # a cascade says yes or no; about half of these finds are faces on ordinary pictures


class Cascades:
    """Face candidates as `concept.face`, 0.5 each."""

    model = ModelVersion("haar-cascades", cv2.__version__)
    licence = "LicenseRef-Intel-OpenCV"  # BSD-3-Clause in other words: "Intel License Agreement For Open Source …"
    categories = frozenset({"concept.face"})

    def __init__(self) -> None:
        self._mine = local()  # a CascadeClassifier is not safe to share between threads
        self._classifiers()

    def detect(self, batch: Sequence[Rgb], found: Sequence[Found]) -> list[Found]:  # noqa: ARG002 - the protocol's
        """Candidates of each picture, frontal and both profiles."""
        return [self._look(picture) for picture in batch]

    def close(self) -> None:
        """Nothing is held."""

    def _look(self, picture: Rgb) -> Found:
        source = self.model.source
        signals: list[Signal] = []
        for name, classifier in self._classifiers().items():
            grey, factor = at_most(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.uint8), _SIDES[name])
            boxes = _boxes(classifier, grey)
            if name == _PROFILE:
                width = grey.shape[1]
                mirrored = _boxes(classifier, np.ascontiguousarray(grey[:, ::-1]))
                boxes += [(width - x - w, y, w, h) for x, y, w, h in mirrored]
            signals += [Signal("concept.face", _SCORE, source, scaled_box(box, factor, picture)) for box in boxes]
        return tuple(signals)

    def _classifiers(self) -> dict[str, cv2.CascadeClassifier]:
        if not hasattr(self._mine, "classifiers"):
            self._mine.classifiers = {name: _load(name) for name in _SIDES}
        loaded: dict[str, cv2.CascadeClassifier] = self._mine.classifiers
        return loaded


def _load(name: str) -> cv2.CascadeClassifier:
    path = Path(cv2.__file__).parent / "data" / name
    classifier = cv2.CascadeClassifier(str(path)) if path.is_file() else None
    if classifier is None or classifier.empty():
        raise ConfigurationError(f"OpenCV {cv2.__version__} has no {name}: install 'opencv-python-headless>=4.13,<5'")
    return classifier


def _boxes(classifier: cv2.CascadeClassifier, grey: NDArray[np.uint8]) -> list[tuple[int, int, int, int]]:
    finds = classifier.detectMultiScale(grey, _STEP, _NEIGHBOURS, minSize=(_SMALLEST, _SMALLEST))
    return [(int(x), int(y), int(w), int(h)) for x, y, w, h in finds]
