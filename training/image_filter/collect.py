"""Gathers the crops that the photo model learns from: `python -m training.image_filter.collect --help`.

Real: portraits of the US Congress (public domain), CID22 photographs (CC BY-SA 4.0). Drawn: made by `drawn`, by
DiceBear (`avatars.mjs`) and from an emoji font. Nothing of it is kept in the repository or shipped.
Each crop is 112 × 112 grey with labels: photo 0 or 1, face 0, 1 or −1 (not known), its source and its origin.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.random import Generator
from PIL import Image, ImageDraw, ImageFont

from services.image_filter.detectors.cascades import Cascades
from services.image_filter.detectors.nudenet import NudeNet
from services.image_filter.geometry import surroundings
from training.image_filter import drawn
from training.image_filter.drawn import Picture

SIDE = 112
CONTEXT = 1.6  # jittered: between what the detector looks at
# Charts, logos and drawings among the photographs, by the order of their names.
NOT_PHOTOS = {97, 98, 99, 100, 101, 102, 103, 104, 105, 124}
FACELESS_AVATARS = {"glass", "icons", "identicon", "initials", "rings", "shapes"}


class Crop(NamedTuple):
    """One example: pixels (112, 112) uint8, photo, face, where it came from, and which picture it was cut from."""

    pixels: Picture
    photo: int
    face: int
    source: str
    origin: str


def grey(picture: Picture) -> Picture:
    """One channel at the training size."""
    return cv2.resize(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), (SIDE, SIDE), interpolation=cv2.INTER_AREA)


def opened(path: Path, ground: tuple[int, int, int] = (255, 255, 255)) -> Picture:
    """RGB with transparency on `ground`."""
    image = Image.open(path).convert("RGBA")
    image = Image.alpha_composite(Image.new("RGBA", image.size, (*ground, 255)), image)
    return np.asarray(image.convert("RGB"))


def boxes_of(picture: Picture, finders: tuple[NudeNet, Cascades], least: float = 0.0) -> list[tuple[int, ...]]:
    """Face candidates (x, y, w, h) with a score of at least `least`."""
    found: list[tuple[int, ...]] = []
    for finder in finders:
        for signal in finder.detect([picture], [()])[0]:
            if signal.category == "concept.face" and signal.score >= least and signal.evidence:
                box = signal.evidence
                found.append((box.x, box.y, box.w, box.h))
    return found


def cut(picture: Picture, box: tuple[int, ...], rng: Generator) -> Picture:
    """The box with its surroundings, as the detector cuts it, jittered."""
    x, y, w, h = box
    scale = rng.uniform(0.8, 1.35)
    x, y = x + rng.normal(0, 0.07) * w + w * (1 - scale) / 2, y + rng.normal(0, 0.07) * h + h * (1 - scale) / 2
    return grey(surroundings(picture, (int(x), int(y), max(8, int(w * scale)), max(8, int(h * scale))), CONTEXT))


def random_square(picture: Picture, rng: Generator) -> tuple[int, int, int, int]:
    """A square of any size that a face candidate may have."""
    h, w = picture.shape[:2]
    side = int(np.exp(rng.uniform(np.log(32), np.log(min(h, w) / 1.8))))
    return int(rng.uniform(0, w - side)), int(rng.uniform(0, h - side)), side, side


def overlap(a: tuple[int, ...], b: tuple[int, ...]) -> bool:
    """Whether two boxes, grown by half, touch."""
    return all(abs(a[i] + a[i + 2] / 2 - b[i] - b[i + 2] / 2) < 0.8 * (a[i + 2] + b[i + 2]) for i in (0, 1))


def portraits(folder: Path, finders: tuple[NudeNet, Cascades], rng: Generator) -> Iterator[Crop]:
    """Congress portraits: three crops each around the face."""
    for path in sorted(folder.glob("*.jpg")):
        picture = opened(path)
        boxes = boxes_of(picture, finders, 0.3) or [(50, 50, 100, 125)]
        for _ in range(3):
            yield Crop(cut(picture, boxes[rng.integers(len(boxes))], rng), 1, 1, "congress", path.stem)


def photographs(folder: Path, finders: tuple[NudeNet, Cascades], rng: Generator) -> Iterator[Crop]:
    """CID22: the whole picture, crops away from any candidate, and crops of sure faces."""
    for index, path in enumerate(sorted(folder.glob("*.jpg"))):
        if index in NOT_PHOTOS:
            continue
        picture = opened(path)
        yield from (Crop(grey(picture), 1, -1, "cid22", path.stem) for _ in range(3))
        candidates = boxes_of(picture, finders)
        for _ in range(24):
            box = random_square(picture, rng)
            if not any(overlap(box, other) for other in candidates):
                yield Crop(cut(picture, box, rng), 1, 0, "cid22", path.stem)
        for box in boxes_of(picture, finders[:1], 0.5):
            yield from (Crop(cut(picture, box, rng), 1, 1, "cid22-faces", path.stem) for _ in range(8))


def filtered(datasets: Path, rng: Generator) -> Iterator[Crop]:
    """Paint, pencil and print filters over the same portraits and photographs."""
    faces = sorted((datasets / "faces_gray").glob("*.jpg"))
    photos = sorted((datasets / "photos").glob("*.jpg"))
    for name, apply in drawn.FILTERS.items():
        for index in rng.choice(len(faces), 160, replace=False):
            picture = apply(opened(faces[index]), rng)
            yield Crop(cut(picture, (50, 50, 100, 125), rng), 0, 1, name, faces[index].stem)
        for index in rng.choice(len(photos), 80, replace=False):
            picture = apply(cv2.resize(opened(photos[index]), (256, 256), interpolation=cv2.INTER_AREA), rng)
            yield Crop(grey(picture), 0, -1, name, photos[index].stem)
            yield Crop(cut(picture, random_square(picture, rng), rng), 0, -1, name, photos[index].stem)


def made(rng: Generator) -> Iterator[Crop]:
    """Vector faces, shaded heads, flat scenes, pages."""
    makers = (
        ("vector", drawn.vector_face, 1, 1200),
        ("heads", drawn.shaded_head, 1, 800),
        ("scenes", drawn.flat_scene, 0, 1500),
        ("renders", drawn.soft_scene, 0, 1500),
        ("pages", drawn.page, 0, 500),
    )
    for name, make, face, count in makers:
        for index in range(count):
            picture = make(rng)
            box = (24, 24, 144, 144) if face else random_square(picture, rng)
            whole = rng.random() < 0.4
            yield Crop(grey(picture) if whole else cut(picture, box, rng), 0, face, name, f"{name}{index}")


def avatars(folder: Path, rng: Generator) -> Iterator[Crop]:
    """DiceBear: every style, whole or around the head."""
    for path in sorted(folder.glob("*/*.png")):
        ground = rng.integers(0, 256, 3).tolist()
        picture = opened(path, tuple(ground))
        style = path.parent.name
        face = 0 if style in FACELESS_AVATARS else 1
        pixels = grey(picture) if rng.random() < 0.5 else cut(picture, (48, 48, 96, 96), rng)
        yield Crop(pixels, 0, face, "avatars", f"{style}{path.stem}")


def emoji(font: Path, rng: Generator) -> Iterator[Crop]:
    """Faces and people (U+1F600…64F, 1F466…487, 1F910…97A) and objects (1F32D…393) of a colour bitmap font."""
    ranges = ((0x1F600, 0x1F650, 1), (0x1F466, 0x1F488, 1), (0x1F910, 0x1F97B, -1), (0x1F32D, 0x1F394, 0))
    glyphs = ImageFont.truetype(font, 109)
    for first, last, face in ranges:
        for code in range(first, last):
            for _ in range(3):
                ground = tuple(rng.integers(0, 256, 3).tolist())
                image = Image.new("RGB", (160, 160), ground)
                ImageDraw.Draw(image).text((12, 16), chr(code), font=glyphs, embedded_color=True)
                yield Crop(cut(np.asarray(image), (34, 34, 92, 92), rng), 0, face, "emoji", f"emoji{code}")


def main() -> None:
    """Write one .npz with pixels, photo, face, source and origin."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--datasets", type=Path, default=Path("../shared/datasets/images"))
    parser.add_argument("--avatars", type=Path, required=True, help="what avatars.mjs wrote")
    parser.add_argument("--emoji", type=Path, required=True, help="NotoColorEmoji.ttf")
    parser.add_argument("--out", type=Path, default=Path("build/photo-crops.npz"))
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    rng = np.random.default_rng(1)
    finders = (NudeNet(), Cascades())
    crops = [
        *portraits(arguments.datasets / "faces_gray", finders, rng),
        *photographs(arguments.datasets / "photos", finders, rng),
        *filtered(arguments.datasets, rng),
        *made(rng),
        *avatars(arguments.avatars, rng),
        *emoji(arguments.emoji, rng),
    ]
    finders[0].close()
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    np.savez(arguments.out, **{name: np.array([getattr(crop, name) for crop in crops]) for name in Crop._fields})


if __name__ == "__main__":
    main()
