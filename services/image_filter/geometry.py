"""Cutting and scaling pictures the same way in training and in service."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from services.core.imaging import Rgb
from services.core.signals import Box


def surroundings(picture: Rgb, box: tuple[int, int, int, int], context: float) -> Rgb:
    """The part of `picture` around a box (x, y, w, h), `context` times its longer side, as far as the picture goes."""
    height, width = picture.shape[:2]
    x, y, w, h = box
    side = max(w, h) * context
    left, top = max(0, int(x + w / 2 - side / 2)), max(0, int(y + h / 2 - side / 2))
    right, bottom = min(width, int(x + w / 2 + side / 2)), min(height, int(y + h / 2 + side / 2))
    return picture[top : max(bottom, top + 1), left : max(right, left + 1)]


def at_most(picture: NDArray[np.uint8], side: int) -> tuple[NDArray[np.uint8], float]:
    """The picture shrunk until no side is longer than `side`, and the factor from its pixels back to the original's."""
    longest = max(picture.shape[:2])
    if longest <= side:
        return picture, 1.0
    scale = side / longest
    size = (max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale)))
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8), longest / side


def square(picture: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """The picture as `side` × `side` pixels: averaged where it is larger, blended where it is smaller."""
    larger = min(picture.shape[:2]) >= side
    resized = cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA if larger else cv2.INTER_LINEAR)
    return np.asarray(resized, np.uint8)


def scaled_box(box: tuple[int, int, int, int], factor: float, picture: Rgb) -> Box:
    """A box of the shrunk picture in pixels of `picture`, at least one pixel and inside."""
    height, width = picture.shape[:2]
    x, y, w, h = (round(value * factor) for value in box)
    x, y = min(max(x, 0), width - 1), min(max(y, 0), height - 1)
    return Box(x, y, min(max(w, 1), width - x), min(max(h, 1), height - y))
