"""Finds faces with MTCNN: three small networks, each looking closer at what the one before let through.

Zhang et al., "Joint face detection and alignment using multi-task cascaded convolutional networks", 2016. Weights from
facenet-pytorch (`models/faces/README.md`). It fires on many drawn faces as well: whether a find is a photograph of a
face is for `photo` to say.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from services.core.artifacts import file_sha256, load_artifact
from services.core.imaging import Rgb
from services.core.signals import ModelVersion, Signal
from services.image_filter.detectors import Found, tempered
from services.image_filter.geometry import at_most, scaled_box
from services.image_filter.onnx_session import open_session

_NETWORKS = ("pnet", "rnet", "onet")
_SIDE, _TURNED_SIDE = 640, 320  # longest side looked at, upright and turned
_SMALLEST = 24  # pixels of that side: the smallest face looked for
_CELL, _STRIDE = 12, 2  # what one output of the first network sees, and how far the next one lies
_STEP = 0.709  # between the sizes looked at: halves the area
_LEAST = (0.6, 0.7, 0.7)  # of each network, as published
_MOST = 256  # candidates that go to the second network, surest first
_SURE = 0.9  # P(face) from which no further turn is looked at
_TOO_SURE = 9.0  # of finds with a score of 0.9 half are faces; by eye on the finds in 125 photographs
_SAME = {"scale": 0.5, "first": 0.7, "last": 0.7}  # shared part of their union from which two boxes are one find

Boxes = NDArray[np.float32]  # (n, 4): left, top, right, bottom
Scores = NDArray[np.float32]  # (n,)


class Mtcnn:
    """Faces as `concept.face` with boxes: upright ones, and where none is sure, those lying on a side or on the head.

    ConfigurationError where a network is missing or another than was meant.
    """

    licence = "MIT"
    categories = frozenset({"concept.face"})

    def __init__(self, folder: str = "models/faces") -> None:
        paths = [load_artifact(f"{folder}/{name}.onnx") for name in _NETWORKS]
        self._first, self._second, self._third = map(open_session, paths)
        self.model = ModelVersion("mtcnn", "1", file_sha256(paths[-1]))

    def detect(self, batch: Sequence[Rgb], found: Sequence[Found]) -> list[Found]:  # noqa: ARG002 - the protocol's
        """Faces of each picture."""
        return [self._look(picture) for picture in batch]

    def close(self) -> None:
        """Nothing is held."""

    def _look(self, picture: Rgb) -> Found:
        signals: list[Signal] = []
        upright, enlarged = at_most(picture, _SIDE)
        turned, further = at_most(upright, _TURNED_SIDE)
        for quarter in range(4):
            if any(signal.score >= _SURE for signal in signals):
                break  # a picture that has an upright face is seldom upside down as well
            small, factor = (turned, enlarged * further) if quarter else (upright, enlarged)
            boxes, scores = self._faces(np.ascontiguousarray(np.rot90(small, quarter)))
            for box, score in zip(_turned_back(boxes, quarter, small.shape[:2]), scores, strict=True):
                left, top, right, bottom = (int(side) for side in box)
                place = scaled_box((left, top, right - left, bottom - top), factor, picture)
                signals.append(Signal("concept.face", tempered(float(score), _TOO_SURE), self.model.source, place))
        return tuple(signals)

    def _faces(self, picture: Rgb) -> tuple[Boxes, Scores]:
        """Boxes and probabilities of the upright faces of a picture."""
        boxes = self._candidates(picture)
        for session, side, least in ((self._second, 24, _LEAST[1]), (self._third, 48, _LEAST[2])):
            if not len(boxes):
                break
            answer = session.run(["move", "face"], {"pictures": _crops(picture, boxes, side)})
            move, scores = answer[0], answer[1][:, 1]
            kept = scores > least
            boxes, scores = _moved(boxes[kept], move[kept]), scores[kept]
            chosen = _distinct(boxes, scores, _SAME["last"])
            boxes, scores = boxes[chosen], scores[chosen]
            if session is self._second:
                boxes = _squared(boxes)
        else:
            return boxes, scores
        return np.empty((0, 4), np.float32), np.empty(0, np.float32)

    def _candidates(self, picture: Rgb) -> Boxes:
        """Square boxes where the first network, shown the picture in many sizes, sees something like a face."""
        height, width = picture.shape[:2]
        found, sure = [np.empty((0, 4), np.float32)], [np.empty(0, np.float32)]
        small, scale = picture, _CELL / _SMALLEST
        while min(height, width) * scale >= _CELL:
            size = (round(width * scale), round(height * scale))
            small = cv2.resize(small, size, interpolation=cv2.INTER_AREA if small is picture else cv2.INTER_LINEAR)
            move, face = self._first.run(["move", "face"], {"pictures": _normalised(small)[None]})
            rows, columns = np.nonzero(face[0, 1] >= _LEAST[0])
            corner = np.stack([columns, rows], axis=1).astype(np.float32) * _STRIDE
            boxes = np.hstack([corner + 1, corner + _CELL]) / np.float32(scale)
            scores: Scores = face[0, 1, rows, columns]
            chosen = _distinct(boxes, scores, _SAME["scale"])
            found.append(_moved(boxes[chosen], move[0][:, rows, columns].T[chosen]))
            sure.append(scores[chosen])
            scale *= _STEP
        boxes, scores = np.concatenate(found), np.concatenate(sure)
        chosen = _distinct(boxes, scores, _SAME["first"])[:_MOST]
        return _squared(boxes[chosen])


def _normalised(picture: Rgb) -> NDArray[np.float32]:
    """(h, w, 3) uint8 → (3, h, w), about −1 … 1."""
    spread: NDArray[np.float32] = (picture.astype(np.float32) - np.float32(127.5)) / np.float32(128)
    return spread.transpose(2, 0, 1)


def _crops(picture: Rgb, boxes: Boxes, side: int) -> NDArray[np.float32]:
    """What lies in each box, as far as the picture goes, (n, 3, side, side)."""
    height, width = picture.shape[:2]
    crops = np.empty((len(boxes), 3, side, side), np.float32)
    for index, (left, top, right, bottom) in enumerate(boxes.astype(int)):
        x, y = min(max(left, 0), width - 1), min(max(top, 0), height - 1)
        part = picture[y : max(bottom, y + 1), x : max(right, x + 1)]
        crops[index] = _normalised(cv2.resize(part, (side, side), interpolation=cv2.INTER_AREA))
    return crops


def _moved(boxes: Boxes, move: Boxes) -> Boxes:
    """Boxes with their sides moved by parts of their width and height."""
    width, height = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    moved: Boxes = boxes + move * np.stack([width, height, width, height], axis=1)
    return moved


def _squared(boxes: Boxes) -> Boxes:
    """Squares about the same middles, as wide as the longer side."""
    middle = (boxes[:, :2] + boxes[:, 2:]) / 2
    half = (boxes[:, 2:] - boxes[:, :2]).max(axis=1, keepdims=True, initial=0) / 2
    squares: Boxes = np.hstack([middle - half, middle + half])
    return squares


def _distinct(boxes: Boxes, scores: Scores, most_shared: float) -> NDArray[np.int64]:
    """Which boxes to keep, surest first, so that none shares much with a surer one."""
    if not len(boxes):
        return np.empty(0, np.int64)
    rectangles = np.hstack([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]])
    kept = cv2.dnn.NMSBoxes(rectangles.tolist(), scores.tolist(), 0.0, most_shared)
    return np.asarray(kept, np.int64).reshape(-1)


def _turned_back(boxes: Boxes, quarter: int, shape: Sequence[int]) -> Boxes:
    """Boxes of a picture that was turned by `quarter` × 90° counter-clockwise, in the picture of `shape` (h, w)."""
    height, width = shape
    left, top, right, bottom = boxes.T
    sides = (
        (left, top, right, bottom),
        (width - bottom, left, width - top, right),
        (width - right, height - bottom, width - left, height - top),
        (top, height - right, bottom, height - left),
    )[quarter]
    return np.stack(sides, axis=1)
