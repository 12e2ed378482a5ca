"""Photograph or drawing: our own small network, for whole pictures (`concept.photo`) and for faces (`realistic_face`).

Colour-blind, so that tinting hides nothing. `models/photo/README.md` says what it was made from and how it is judged.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import onnxruntime
from numpy.typing import NDArray

from services.core.artifacts import file_sha256, load_artifact
from services.core.imaging import Rgb
from services.core.signals import Box, ModelVersion, Signal
from services.image_filter.detectors import Found
from services.image_filter.geometry import surroundings

_SIDE = 96
_MOST_FACES = 16  # candidates judged per picture, largest first
_CONTEXTS = (1.2, 1.8)  # each face is seen close and with hair, collar and background
_DOUBT = 0.4  # log odds added to P(photograph): what is in doubt counts as one; chosen on held-out photographs
_SAME_FACE = 0.4  # boxes that share this much of their union are one face

Scores = NDArray[np.float32]


class PhotoDetector:
    """Judges face candidates that earlier detectors found, and the picture as a whole.

    `realistic_face` = P(photograph) · P(face) of a candidate: the first joined over its crops, the second the highest
    of them. ConfigurationError where the model is missing or another than was meant.
    """

    licence = "Apache-2.0"
    categories = frozenset({"realistic_face", "concept.photo"})

    def __init__(self, uri: str, sha256: str = "") -> None:
        path = load_artifact(uri, sha256)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1  # requests run side by side
        self._session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self.model = ModelVersion("photo", "1", file_sha256(path))

    def detect(self, batch: Sequence[Rgb], found: Sequence[Found]) -> list[Found]:
        """All faces and views of all pictures in one run of the network."""
        boxes = [distinct(faces_of(signals)) for signals in found]
        crops = [_views(picture) + _faces(picture, own) for picture, own in zip(batch, boxes, strict=True)]
        scores = iter(self._scores([crop for own in crops for crop in own]))
        return [self._signals([next(scores) for _ in own], faces) for own, faces in zip(crops, boxes, strict=True)]

    def close(self) -> None:
        """Nothing is held."""

    def _scores(self, crops: Sequence[Rgb]) -> Scores:
        """P(photograph), P(face) of each crop, (n, 2)."""
        grey = np.stack([_prepared(crop) for crop in crops])[:, None]
        scores: Scores = self._session.run(None, {"grey": grey})[0]
        return scores

    def _signals(self, scores: Sequence[Scores], faces: Sequence[Box]) -> Found:
        source = self.model.source
        views = len(scores) - len(faces) * len(_CONTEXTS)
        signals = [Signal("concept.photo", photo_score([float(score[0]) for score in scores[:views]]), source)]
        for index, box in enumerate(faces):
            first = views + index * len(_CONTEXTS)
            crops = scores[first : first + len(_CONTEXTS)]
            photo, face = photo_score([float(crop[0]) for crop in crops]), max(float(crop[1]) for crop in crops)
            signals.append(Signal("realistic_face", photo * face, source, box))
        return tuple(signals)


def faces_of(signals: Found) -> list[Box]:
    """The boxes of all face candidates, surest first, then largest."""
    finds = [s for s in signals if s.category == "concept.face" and isinstance(s.evidence, Box)]
    finds.sort(key=lambda s: (s.score, s.evidence.w * s.evidence.h if isinstance(s.evidence, Box) else 0), reverse=True)
    return [s.evidence for s in finds if isinstance(s.evidence, Box)]


def distinct(boxes: Sequence[Box]) -> list[Box]:
    """Boxes without repetitions of the same face, the first of each kept; 16 at most."""
    kept: list[Box] = []
    for box in boxes:
        if all(_shared(box, other) < _SAME_FACE for other in kept):
            kept.append(box)
    return kept[:_MOST_FACES]


def photo_score(views: Sequence[float]) -> float:
    """P(photograph) of a picture or face from that of its views: their mean in log odds, leaning to photograph."""
    odds = np.log(np.clip(views, 1e-4, 1 - 1e-4)) - np.log1p(-np.clip(views, 1e-4, 1 - 1e-4))
    return float(1 / (1 + np.exp(-odds.mean() - _DOUBT)))


def _views(picture: Rgb) -> list[Rgb]:
    """The whole and its four quarters."""
    height, width = picture.shape[:2]
    y, x = height // 2, width // 2
    return [picture, picture[:y, :x], picture[:y, x:], picture[y:, :x], picture[y:, x:]]


def _faces(picture: Rgb, boxes: Sequence[Box]) -> list[Rgb]:
    return [surroundings(picture, (box.x, box.y, box.w, box.h), context) for box in boxes for context in _CONTEXTS]


def _prepared(crop: Rgb) -> Scores:
    small = cv2.resize(crop, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)
    grey: Scores = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY).astype(np.float32) / np.float32(255)
    return grey


def _shared(a: Box, b: Box) -> float:
    """Intersection over union."""
    w = min(a.x + a.w, b.x + b.w) - max(a.x, b.x)
    h = min(a.y + a.h, b.y + b.h) - max(a.y, b.y)
    both = max(0, w) * max(0, h)
    return both / (a.w * a.h + b.w * b.h - both)
