"""Where an edit may paint: how much of the picture, and how much of the people in it."""

from __future__ import annotations

from collections.abc import Iterable
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from services.core.errors import InvalidInput
from services.core.policy.scores import settled
from services.core.signals import Box, Signal

SOURCE = "pair-mask/1"
PEOPLE = frozenset({"realistic_face", "concept.face", "concept.person"})

Mask = NDArray[np.bool_]


def open_mask(png: bytes, image_png: bytes) -> Mask:
    """The mask as (height, width), True where the picture may change; both PNGs are of this house's own making.

    InvalidInput where the mask has not the size of the image.
    """
    with Image.open(BytesIO(png), formats=["PNG"]) as mask, Image.open(BytesIO(image_png), formats=["PNG"]) as image:
        if mask.size != image.size:
            raise InvalidInput("mask", f"is {mask.width} × {mask.height}, the image {image.width} × {image.height}")
        return np.asarray(mask.convert("L")) >= 128


def measure(mask: Mask, upload_signals: Iterable[Signal]) -> tuple[Signal, ...]:
    """`concept.mask.share`, and for every face or person that the mask touches `concept.mask.person`.

    The latter is the share of the box that may change, times the probability that somebody is there.
    """
    share = Signal("concept.mask.share", float(mask.mean()), SOURCE)
    people = [(signal, signal.evidence) for signal in map(settled, upload_signals) if signal.category in PEOPLE]
    touched = ((signal, box, _opened(mask, box)) for signal, box in people if isinstance(box, Box))
    persons = (
        Signal("concept.mask.person", signal.score * opened, SOURCE, box) for signal, box, opened in touched if opened
    )
    return (share, *persons)


def _opened(mask: Mask, box: Box) -> float:
    """The share of the box, as far as it lies in the picture, that the mask opens."""
    part = mask[box.y : box.y + box.h, box.x : box.x + box.w]
    return float(part.mean()) if part.size else 0.0
