"""The photographs that marks are measured on: folders of yours, or those that come with installed packages."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from skimage import data
from sklearn.datasets import load_sample_image

from benchmarks.watermark_attacks import Rgb

SIZES = (512, 1024)
_SUFFIXES = {".jpg", ".jpeg", ".png", ".webp"}
_SCIKIT_IMAGE = (
    *("astronaut", "brick", "camera", "chelsea", "coffee", "grass", "gravel"),
    *("hubble_deep_field", "immunohistochemistry", "moon", "retina", "rocket"),
)
_SCIKIT_LEARN = ("china", "flower")


@dataclass(frozen=True, slots=True, eq=False)
class Photograph:
    """RGB bytes, H × W × 3. `name` gives attacks their seeds; `enlarged`: it had fewer pixels."""

    name: str
    rgb: Rgb
    enlarged: bool = False


def photographs(folder: Path | None, size: int) -> list[Photograph]:
    """Those in the sub-folder that is called like a size; without a folder those at hand, as squares of that size."""
    if folder is None:
        return [_square(name, rgb, size) for name, rgb in _at_hand()]
    paths = sorted(path for path in (folder / str(size)).iterdir() if path.suffix.lower() in _SUFFIXES)
    return [Photograph(path.name, np.asarray(Image.open(path).convert("RGB"))) for path in paths]


def described(found: list[Photograph]) -> str:
    """How many there are, and how many of them only by enlarging."""
    enlarged = sum(photograph.enlarged for photograph in found)
    return f"{len(found)} photographs" + (f", {enlarged} of them enlarged from fewer pixels" if enlarged else "")


def _at_hand() -> Iterator[tuple[str, Rgb]]:
    for name in _SCIKIT_IMAGE:
        rgb = getattr(data, name)()
        yield name, rgb if rgb.ndim == 3 else np.dstack([rgb] * 3)
    for name in _SCIKIT_LEARN:
        yield name, load_sample_image(f"{name}.jpg")


def _square(name: str, rgb: Rgb, size: int) -> Photograph:
    """The middle square, scaled to a size."""
    height, width = rgb.shape[:2]
    side = min(height, width)
    left, top = (width - side) // 2, (height - side) // 2
    image = Image.fromarray(rgb).resize((size, size), Image.Resampling.LANCZOS, (left, top, left + side, top + side))
    return Photograph(name, np.asarray(image), enlarged=side < size)
