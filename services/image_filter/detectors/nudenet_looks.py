"""What NudeNet's network says of pictures; and where it found something explicit, more looks before that is believed.

A false find seldom stands when the picture is seen a little larger or from further away, a true one does: its score is
the mean over the looks. What is small is not looked at from further away, where true finds fade as well (measured on
faces). One breast or one pair of buttocks that fills much of the picture, with nothing else of a body beside it, is
what plain round shapes are taken for: its odds count for two thirds.

All of this was chosen on pictures without anything explicit (`training/image_filter/false_alarms.py`), for no others
may be kept: what it costs in true finds is not measured.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from services.core.imaging import Rgb

EXPLICIT = frozenset(
    {
        "ANUS_EXPOSED",
        "BUTTOCKS_EXPOSED",
        "FEMALE_BREAST_EXPOSED",
        "FEMALE_GENITALIA_EXPOSED",
        "MALE_GENITALIA_EXPOSED",
    }
)
_ROUND = frozenset({"BUTTOCKS_EXPOSED", "FEMALE_BREAST_EXPOSED"})
_ALONE = 0.67  # of the odds: 0.55 counts as 0.45, from where the default policy has a person look
_SMALL = 0.1  # of the square around the picture: what is smaller is not looked at from further away
_SIDE, _LARGER = 320, 416  # pixels a side that the network sees
_MARGIN = 0.1  # put around the picture for the looks from further away, of its longer side
_LEAST, _REPEATED = 0.25, 0.45  # NudeNet's own: a find's least score, and the overlap from which two finds are one
_SAME = 0.4  # overlap from which a box of another look means the same thing
_BATCH = 8  # pictures in one run; memory grows with it

Boxes = NDArray[np.float32]  # (n, 4): x, y, width, height in pixels of the picture
Part = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Look:
    """All that the network says of one picture: its boxes, and the score of each class in each, (n, classes)."""

    boxes: Boxes
    scores: NDArray[np.float32]


class Network:
    """Looks at pictures; `session` runs the ONNX network, `classes` names its outputs."""

    def __init__(self, session: Any, classes: Sequence[str]) -> None:
        self._session = session
        self._classes = tuple(classes)

    def parts(self, pictures: Sequence[Rgb]) -> list[list[Part]]:
        """The parts of bodies in each picture: `class`, `box`, `seen` (the first look's score) and `score`.

        `score` differs from `seen` for what is explicit alone. Raises ValueError where the network answers nonsense.
        """
        first = self._look(pictures, _SIDE)
        found = [self._found(look, picture) for look, picture in zip(first, pictures, strict=True)]
        doubted = [at for at, parts in enumerate(found) if any(part["class"] in EXPLICIT for part in parts)]
        if doubted:
            for at, looks in zip(doubted, self._look_again([pictures[at] for at in doubted]), strict=True):
                side = max(pictures[at].shape[:2])
                found[at] = [self._confirmed(part, found[at], [first[at], *looks], side**2) for part in found[at]]
        return found

    def _look_again(self, pictures: Sequence[Rgb]) -> list[tuple[Look, ...]]:
        """Larger, and twice from further away: on black, and on the picture's own mirrored edges."""
        larger = self._look(pictures, _LARGER)
        black = self._look_from_afar(pictures, cv2.BORDER_CONSTANT)
        mirrored = self._look_from_afar(pictures, cv2.BORDER_REFLECT_101)
        return list(zip(larger, black, mirrored, strict=True))

    def _look_from_afar(self, pictures: Sequence[Rgb], border: int) -> list[Look]:
        margins = [min(int(max(p.shape[:2]) * _MARGIN), *(side - 1 for side in p.shape[:2])) for p in pictures]
        framed = [
            np.asarray(cv2.copyMakeBorder(picture, m, m, m, m, border), np.uint8)
            for picture, m in zip(pictures, margins, strict=True)
        ]
        looks = self._look(framed, _SIDE)
        return [
            Look(look.boxes - np.array([m, m, 0, 0], np.float32), look.scores)
            for look, m in zip(looks, margins, strict=True)
        ]

    def _look(self, pictures: Sequence[Rgb], side: int) -> list[Look]:
        looks: list[Look] = []
        for begin in range(0, len(pictures), _BATCH):
            batch = pictures[begin : begin + _BATCH]
            output = self._session.run(None, {"images": np.stack([_square(picture, side) for picture in batch])})[0]
            if not np.isfinite(output).all():
                raise ValueError("the network's answer is not finite")
            looks += [_read(row, max(p.shape[:2]) / side) for row, p in zip(output, batch, strict=True)]
        return looks

    def _found(self, look: Look, picture: Rgb) -> list[Part]:
        """The finds of one look, as the package gives them: each thing once, cut to the picture."""
        best, score = look.scores.argmax(1), look.scores.max(1)
        height, width = picture.shape[:2]
        near = np.flatnonzero(score >= _LEAST)
        corners = np.clip(look.boxes[near, :2], 0, (width, height))
        sizes = np.minimum(look.boxes[near, 2:], (width, height) - corners)
        boxes = np.hstack([corners, sizes])
        kept = cv2.dnn.NMSBoxes(boxes.tolist(), score[near].tolist(), _LEAST, _REPEATED)
        return [
            {
                "class": self._classes[best[near[at]]],
                "seen": float(score[near[at]]),
                "score": float(score[near[at]]),
                "box": [int(value) for value in boxes[at]],
            }
            for at in kept
        ]

    def _confirmed(self, part: Part, all_parts: Sequence[Part], looks: Sequence[Look], area: int) -> Part:
        """`part` with the score that several looks (first, larger, further away) agree on; `area` in pixels."""
        if part["class"] not in EXPLICIT:
            return part
        column = self._classes.index(part["class"])
        box = np.array(part["box"], np.float32)
        small = bool(np.prod(box[2:]) < _SMALL * area)
        asked = looks[:2] if small else looks
        seen = [look.scores[overlap(box, look.boxes) >= _SAME, column].max(initial=0.0) for look in asked]
        score = float(np.mean(seen))
        if part["class"] in _ROUND and not small and _alone(box, all_parts):
            score = _ALONE * score / (1 - score + _ALONE * score)
        return {**part, "score": score}


def _alone(box: NDArray[np.float32], parts: Sequence[Part]) -> bool:
    """Whether no other part of a body is beside `box`."""
    return bool((overlap(box, np.array([part["box"] for part in parts], np.float32)) >= _SAME).all())


def overlap(box: NDArray[np.float32], boxes: Boxes) -> NDArray[np.float32]:
    """Intersection over union of one box (4,) with each of `boxes`, (n,)."""
    corner = np.minimum(box[:2] + box[2:], boxes[:, :2] + boxes[:, 2:]) - np.maximum(box[:2], boxes[:, :2])
    both = np.prod(np.maximum(corner, 0), axis=1)
    shares: NDArray[np.float32] = both / np.maximum(np.prod(box[2:]) + np.prod(boxes[:, 2:], axis=1) - both, 1e-6)
    return shares


def _square(picture: Rgb, side: int) -> NDArray[np.float32]:
    """The picture as the network sees it, (3, side, side): black to the right or below, 0…1.

    RGB, as measured: so it finds more than with files read by OpenCV, which the package feeds as BGR.
    """
    longest = max(picture.shape[:2])
    height, width = picture.shape[:2]
    square = cv2.copyMakeBorder(picture, 0, longest - height, 0, longest - width, cv2.BORDER_CONSTANT)
    blob: NDArray[np.float32] = cv2.dnn.blobFromImage(square, 1 / 255, (side, side), swapRB=False, crop=False)[0]
    return blob


def _read(row: NDArray[np.float32], factor: float) -> Look:
    """One picture's output, (4 + classes, n): middle and size of each box in pixels of the square, then scores."""
    boxes = row[:4].T * np.float32(factor)
    boxes[:, :2] -= boxes[:, 2:] / 2
    return Look(boxes, row[4:].T)
