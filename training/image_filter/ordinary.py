"""Ordinary pictures, thousands of looks at them: what a detector of explicit content must leave alone.

Photographs, portraits, drawn and rendered things; each as it is, cropped, tinted (also towards skin), blurred and in
grey. Nothing here is explicit, so every find is a false alarm.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from PIL import Image
from skimage import data

from training.generator.render import render
from training.generator.scenes import draw_scene
from training.image_filter import drawn

Picture = NDArray[np.uint8]

_SHIPPED = (
    *("astronaut", "brick", "camera", "cell", "chelsea", "clock", "coffee", "coins", "colorwheel", "grass", "gravel"),
    *("horse", "hubble_deep_field", "immunohistochemistry", "logo", "microaneurysms", "moon", "page", "retina"),
    *("rocket", "text"),
)
_SKIN = np.array([224, 172, 134], np.float32)


class Look(NamedTuple):
    """One look at a picture: where it is from, what was done to it, the pixels (h, w, 3) uint8 RGB."""

    source: str
    change: str
    picture: Picture


def looks(datasets: Path, photos: Path, avatars: Path, seed: int = 1) -> Iterator[Look]:
    """Every picture of `pictures` as it is and under every change."""
    rng = np.random.default_rng(seed)
    for source, picture in pictures(datasets, photos, avatars, rng):
        yield Look(source, "none", picture)
        for name, change in CHANGES.items():
            yield Look(source, name, np.ascontiguousarray(change(picture, rng)))


def pictures(datasets: Path, photos: Path, avatars: Path, rng: Generator) -> Iterator[tuple[str, Picture]]:
    """Source and picture: folders where they are there, scikit-image's, and what is drawn here."""
    for source, folder in (
        ("photographs", datasets / "photos"),
        ("photographs", photos),
        ("portraits", datasets / "faces_gray"),
    ):
        for path in _files(folder):
            yield source, _opened(path)
    for name in _SHIPPED:
        yield "scikit-image", _rgb(getattr(data, name)())
    for path in _files(avatars):
        yield "avatars", _opened(path)
    made: dict[str, tuple[Callable[[Generator], Picture], int]] = {
        "flat scenes": (drawn.flat_scene, 400),
        "soft scenes": (drawn.soft_scene, 300),
        "vector faces": (drawn.vector_face, 150),
        "shaded heads": (drawn.shaded_head, 150),
        "pages": (drawn.page, 50),
    }
    for source, (make, count) in made.items():
        for _ in range(count):
            yield source, _rgb(make(rng))
    scenes = [draw_scene(rng, 1 + index % 2) for index in range(200)]
    for pixels in render(scenes, 256)[0]:
        yield "rendered scenes", ((pixels.permute(1, 2, 0).numpy() + 1) * 127.5).round().astype(np.uint8)


def _crop(picture: Picture, rng: Generator) -> Picture:
    height, width = picture.shape[:2]
    share = rng.uniform(0.35, 0.8)
    h, w = max(8, int(height * share)), max(8, int(width * share))
    y, x = rng.integers(0, height - h + 1), rng.integers(0, width - w + 1)
    return picture[y : y + h, x : x + w]


def _tint(picture: Picture, rng: Generator) -> Picture:
    gains = rng.uniform(0.6, 1.4, 3)
    return np.clip(picture * gains, 0, 255).astype(np.uint8)


def _skin(picture: Picture, rng: Generator) -> Picture:
    """Every grey value in a shade of skin."""
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32)[..., None] / 255
    return np.clip(_SKIN * rng.uniform(0.7, 1.1) * (0.3 + 0.9 * grey), 0, 255).astype(np.uint8)


def _blur(picture: Picture, rng: Generator) -> Picture:
    sigma = rng.uniform(0.004, 0.02) * max(picture.shape[:2])
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), sigma), np.uint8)


def _grey(picture: Picture, rng: Generator) -> Picture:  # noqa: ARG001 - as the others
    return _rgb(np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), np.uint8))


CHANGES: dict[str, Callable[[Picture, Generator], Picture]] = {
    "crop": _crop,
    "tint": _tint,
    "skin": _skin,
    "blur": _blur,
    "grey": _grey,
}


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.suffix in {".jpg", ".jpeg", ".png"})


def _opened(path: Path) -> Picture:
    image = Image.open(path).convert("RGBA")
    return np.asarray(Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB"))


def _rgb(picture: NDArray[np.generic]) -> Picture:
    if picture.dtype != np.uint8:
        picture = np.clip(np.asarray(picture, float) * 255, 0, 255).astype(np.uint8)
    grey = picture.ndim == 2
    return np.ascontiguousarray(np.stack([picture] * 3, -1) if grey else picture[..., :3], np.uint8)
