"""Photograph or drawing: our own small network, for whole pictures (`concept.photo`) and for faces (`realistic_face`).

Colour-blind, so that tinting hides nothing. `models/photo/README.md` says what it was made from and how it is judged.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from services.core.artifacts import file_sha256, load_artifact
from services.core.imaging import Rgb
from services.core.signals import Box, Evidence, ModelVersion, Signal
from services.image_filter.detectors import Found
from services.image_filter.geometry import square, surroundings
from services.image_filter.onnx_session import open_session

_SIDE, _BATCH = 112, 8  # memory grows with the batch, and several run side by side
_AT_ONCE = 4
_MOST_FACES = 16  # candidates judged per picture, surest first
_CONTEXTS = (0.75, 1.3, 1.9)  # each face is seen so close that brushes show, whole, and with hair and collar
# Log odds added to P(photograph), of a face and of the whole: what is in doubt counts as one. Chosen on photographs
# that training did not see.
_DOUBT_FACE, _DOUBT_WHOLE = 0.4, 1.2
# Part of its own log odds of a face that the network adds to the detector's; their limit.
_OWN_EYES, _AT_MOST = 0.6, 3.0
_SAME_FACE = 0.4  # boxes that share this much of their union are one face

Scores = NDArray[np.float32]


class PhotoDetector:
    """Judges face candidates that earlier detectors found, and the picture as a whole.

    `realistic_face` = P(photograph) · P(face) of a candidate, the first joined over its crops, the second from the
    detector's score and from what the crops look like. ConfigurationError where the model is missing or another one.
    """

    licence = "Apache-2.0"
    categories = frozenset({"realistic_face", "concept.photo"})

    def __init__(self, uri: str, sha256: str = "") -> None:
        path = load_artifact(uri, sha256)
        self._session = open_session(path)
        self.model = ModelVersion("photo", "1", file_sha256(path))

    def detect(self, batch: Sequence[Rgb], found: Sequence[Found]) -> list[Found]:
        """All faces and views of all pictures, in few runs of the network."""
        faces = [distinct(signals) for signals in found]
        crops = [_views(picture) + _faces(picture, own) for picture, own in zip(batch, faces, strict=True)]
        scores = iter(self._scores([crop for own in crops for crop in own]))
        return [self._signals([next(scores) for _ in own], these) for own, these in zip(crops, faces, strict=True)]

    def close(self) -> None:
        """Nothing is held."""

    def _scores(self, crops: Sequence[Rgb]) -> Scores:
        """P(photograph), P(face) of each crop, (n, 2)."""
        parts = [crops[begin : begin + _BATCH] for begin in range(0, len(crops), _BATCH)]
        with ThreadPoolExecutor(min(len(parts), _AT_ONCE)) as side_by_side:
            return np.concatenate(list(side_by_side.map(self._look, parts)))

    def _look(self, crops: Sequence[Rgb]) -> Scores:
        scores: Scores = self._session.run(None, {"grey": np.stack([_prepared(crop) for crop in crops])[:, None]})[0]
        return scores

    def _signals(self, scores: Sequence[Scores], faces: Sequence[Signal]) -> Found:
        source = self.model.source
        views = len(scores) - len(faces) * len(_CONTEXTS)
        signals = [Signal("concept.photo", joined([float(score[0]) for score in scores[:views]], _DOUBT_WHOLE), source)]
        for index, face in enumerate(faces):
            first = views + index * len(_CONTEXTS)
            crops = scores[first : first + len(_CONTEXTS)]
            photo = joined([float(crop[0]) for crop in crops], _DOUBT_FACE)
            sure = face_score(face.score, max(float(crop[1]) for crop in crops))
            signals.append(Signal("realistic_face", photo * sure, source, face.evidence))
        return tuple(signals)


def distinct(signals: Found) -> list[Signal]:
    """The face candidates among `signals`, surest first and of one face only the surest; 16 at most."""
    finds = [s for s in signals if s.category == "concept.face" and isinstance(s.evidence, Box)]
    kept: list[Signal] = []
    for find in sorted(finds, key=lambda find: find.score, reverse=True):
        if all(_shared(find.evidence, other.evidence) < _SAME_FACE for other in kept):
            kept.append(find)
    return kept[:_MOST_FACES]


def face_score(found: float, looks: float) -> float:
    """P(face) from the detector's score and the network's own: their log odds added, the network's in part."""
    own = np.clip(_log_odds(looks), -_AT_MOST, _AT_MOST)
    return float(1 / (1 + np.exp(-_log_odds(found) - _OWN_EYES * own)))


def joined(views: Sequence[float], doubt: float) -> float:
    """P(photograph) from that of several views: their mean in log odds, which lean to it by `doubt`."""
    return float(1 / (1 + np.exp(-_log_odds(views).mean() - doubt)))


def _log_odds(probability: ArrayLike) -> NDArray[np.float64]:
    clipped = np.clip(np.asarray(probability, np.float64), 1e-4, 1 - 1e-4)
    odds: NDArray[np.float64] = np.log(clipped) - np.log1p(-clipped)
    return odds


def _views(picture: Rgb) -> list[Rgb]:
    """The whole and its four quarters."""
    height, width = picture.shape[:2]
    y, x = height // 2, width // 2
    return [picture, picture[:y, :x], picture[:y, x:], picture[y:, :x], picture[y:, x:]]


def _faces(picture: Rgb, faces: Sequence[Signal]) -> list[Rgb]:
    boxes = (face.evidence for face in faces)
    return [
        surroundings(picture, (box.x, box.y, box.w, box.h), context)
        for box in boxes
        if isinstance(box, Box)
        for context in _CONTEXTS
    ]


def _prepared(crop: Rgb) -> Scores:
    grey: Scores = cv2.cvtColor(square(crop, _SIDE), cv2.COLOR_RGB2GRAY).astype(np.float32) / np.float32(255)
    return grey


def _shared(a: Evidence | None, b: Evidence | None) -> float:
    """Intersection over union."""
    assert isinstance(a, Box)
    assert isinstance(b, Box)
    w = min(a.x + a.w, b.x + b.w) - max(a.x, b.x)
    h = min(a.y + a.h, b.y + b.h) - max(a.y, b.y)
    both = max(0, w) * max(0, h)
    return both / (a.w * a.h + b.w * b.h - both)
