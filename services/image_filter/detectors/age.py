"""Whether a photographed face may be a child's: an age network, read with caution.

Weights from face-api (`models/age/README.md`). An estimate is off by five years on the mean, so that what looks up to
some years over 18 still counts in part.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from services.core.artifacts import file_sha256, load_artifact
from services.core.imaging import Rgb
from services.core.signals import Box, ModelVersion, Signal
from services.image_filter.compose import CHILD
from services.image_filter.detectors import Found
from services.image_filter.geometry import square, surroundings
from services.image_filter.onnx_session import open_session

_SIDE, _BATCH = 112, 32  # memory grows with the batch
_CONTEXTS = (1.0, 1.2)  # the youngest of both looks counts
_EVEN, _SPREAD = 20.0, 2.5  # years at which child and adult are even, and how softly it turns
_LEAST = 0.1  # realistic faces below this are no photographs


class AgeDetector:
    """`concept.child` of each face that `photo` takes for real: P(real) · P(under 18), with its box.

    ConfigurationError where the model is missing.
    """

    licence = "MIT"
    categories = frozenset({CHILD})

    def __init__(self, uri: str = "models/age/age.onnx") -> None:
        path = load_artifact(uri)
        self._session = open_session(path)
        self.model = ModelVersion("age", "1", file_sha256(path))

    def detect(self, batch: Sequence[Rgb], found: Sequence[Found]) -> list[Found]:
        """All faces of all pictures, in few runs of the network."""
        faces = [[signal for signal in signals if _is_face(signal)] for signals in found]
        crops = [
            crop for picture, own in zip(batch, faces, strict=True) for face in own for crop in _crops(picture, face)
        ]
        if not crops:
            return [()] * len(batch)
        batches = (crops[begin : begin + _BATCH] for begin in range(0, len(crops), _BATCH))
        each = np.concatenate([self._session.run(None, {"faces": np.stack(batch)})[0] for batch in batches])
        years = iter(each.reshape(-1, len(_CONTEXTS)).min(axis=1))
        source = self.model.source
        return [
            tuple(Signal(CHILD, face.score * child_score(float(next(years))), source, face.evidence) for face in own)
            for own in faces
        ]

    def close(self) -> None:
        """Nothing is held."""


def child_score(years: float) -> float:
    """P(under 18) where the network says `years`: even at 20, 0.9 at 14.5, 0.1 at 25.5."""
    return float(1 / (1 + np.exp((years - _EVEN) / _SPREAD)))


def _is_face(signal: Signal) -> bool:
    return signal.category == "realistic_face" and isinstance(signal.evidence, Box) and signal.score >= _LEAST


def _crops(picture: Rgb, face: Signal) -> list[NDArray[np.float32]]:
    """The face close and a little wider, put on a black square: (112, 112, 3) each."""
    box = face.evidence
    assert isinstance(box, Box)
    crops = []
    for context in _CONTEXTS:
        part = surroundings(picture, (box.x, box.y, box.w, box.h), context)
        height, width = part.shape[:2]
        above, left = (max(height, width) - height) // 2, (max(height, width) - width) // 2
        below, right = max(height, width) - height - above, max(height, width) - width - left
        padded = cv2.copyMakeBorder(part, above, below, left, right, cv2.BORDER_CONSTANT)
        crops.append(square(np.asarray(padded, np.uint8), _SIDE).astype(np.float32))
    return crops
