"""Where an edit may paint: how much of the picture, how much of the people in it, and whether it is words."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from services.core.errors import InvalidInput
from services.core.policy.scores import settled
from services.core.signals import Box, Signal

SOURCE = "pair-mask/1"
PEOPLE = frozenset({"realistic_face", "concept.face", "concept.person"})
TEXT = "concept.text"

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

    The latter is the share of the box that may change, times the probability that somebody is there. Where the mask
    touches words, `concept.mask.text` is the share of it that lies on them, times the probability that they are words.
    """
    share = Signal("concept.mask.share", float(mask.mean()), SOURCE)
    found = [signal for signal in map(settled, upload_signals) if isinstance(signal.evidence, Box)]
    people = [(signal, signal.evidence) for signal in found if signal.category in PEOPLE]
    touched = ((signal, box, _opened(mask, box)) for signal, box in people if isinstance(box, Box))
    persons = (
        Signal("concept.mask.person", signal.score * opened, SOURCE, box) for signal, box, opened in touched if opened
    )
    return (share, *persons, *_words(mask, [signal for signal in found if signal.category == TEXT]))


def _words(mask: Mask, texts: list[Signal]) -> Iterator[Signal]:
    """How much of the mask lies on words of the same certainty or more, the most telling one."""
    covered = np.zeros_like(mask)
    best: Signal | None = None
    for signal in sorted(texts, key=lambda one: one.score, reverse=True):
        if isinstance(box := signal.evidence, Box):
            covered[box.y : box.y + box.h, box.x : box.x + box.w] = True
            share = float(mask[covered].sum() / max(1, mask.sum())) * signal.score
            if share > (best.score if best else 0.0):
                best = Signal("concept.mask.text", share, SOURCE, box)
    if best:
        yield best


def _opened(mask: Mask, box: Box) -> float:
    """The share of the box, as far as it lies in the picture, that the mask opens."""
    part = mask[box.y : box.y + box.h, box.x : box.x + box.w]
    return float(part.mean()) if part.size else 0.0
