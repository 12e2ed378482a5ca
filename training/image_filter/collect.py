"""Gathers the crops that the photo model learns from: `python -m training.image_filter.collect --help`.

Real: portraits of the US Congress (public domain), CID22 photographs (CC BY-SA 4.0). Drawn: made by `drawn`, by
`avatars.mjs` and from an emoji font. Nothing of it is kept in the repository or shipped.
Each crop is 144 × 144 grey with labels: photo (a photograph, 0 or 1), face (of any kind; 0, 1 or −1, not known), real
(the face of a living person, photographed; 0, 1 or −1), its source and its origin.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.random import Generator
from PIL import Image, ImageDraw, ImageFont

from services.image_filter.detectors.mtcnn import Mtcnn
from services.image_filter.geometry import square, surroundings
from training.image_filter import drawn
from training.image_filter.drawn import Picture

SIDE = 144
CONTEXT, CLOSE = 1.75, 0.75  # jittered: what the detector looks at
# What MTCNN finds on the photographs, looked at by eye: [face | art | none | unsure, x, y, w, h] by file.
CID22 = Path(__file__).with_name("cid22.json")
# Charts, logos and drawings among the photographs, by the order of their names.
NOT_PHOTOS = {97, 98, 99, 100, 101, 102, 103, 104, 105, 124}
FACELESS_AVATARS = {"glass", "icons", "identicon", "initials", "rings", "shapes"}

Rectangle = tuple[int, ...]


class Crop(NamedTuple):
    """One example: pixels (144, 144) uint8, labels, where it came from, and which picture it was cut from."""

    pixels: Picture
    photo: int
    face: int
    real: int
    source: str
    origin: str


def grey(picture: Picture) -> Picture:
    """One channel at the training size."""
    return square(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), SIDE)


def opened(path: Path, ground: tuple[int, ...] = (255, 255, 255)) -> Picture:
    """RGB with transparency on `ground`."""
    image = Image.open(path).convert("RGBA")
    image = Image.alpha_composite(Image.new("RGBA", image.size, (*ground, 255)), image)
    return np.asarray(image.convert("RGB"))


def boxes_of(picture: Picture, finder: Mtcnn) -> list[Rectangle]:
    """Face candidates (x, y, w, h)."""
    boxes = (signal.evidence for signal in finder.detect([picture], [()])[0])
    return [(box.x, box.y, box.w, box.h) for box in boxes if box]


def cut(picture: Picture, box: Rectangle, rng: Generator, context: float = CONTEXT) -> Picture:
    """The box with its surroundings, as the detector cuts it, jittered."""
    x, y, w, h = box
    scale = rng.uniform(0.75, 1.4)
    x, y = x + rng.normal(0, 0.07) * w + w * (1 - scale) / 2, y + rng.normal(0, 0.07) * h + h * (1 - scale) / 2
    return grey(surroundings(picture, (int(x), int(y), max(8, int(w * scale)), max(8, int(h * scale))), context))


def random_square(picture: Picture, rng: Generator) -> Rectangle:
    """A square of any size that a face candidate may have."""
    h, w = picture.shape[:2]
    side = int(np.exp(rng.uniform(np.log(32), np.log(min(h, w) / 1.8))))
    return int(rng.uniform(0, w - side)), int(rng.uniform(0, h - side)), side, side


def overlap(a: Rectangle, b: Rectangle) -> bool:
    """Whether two boxes, grown by half, touch."""
    return all(abs(a[i] + a[i + 2] / 2 - b[i] - b[i + 2] / 2) < 0.8 * (a[i + 2] + b[i + 2]) for i in (0, 1))


def portraits(folder: Path, finder: Mtcnn, rng: Generator) -> Iterator[Crop]:
    """Congress portraits: three crops each around the face."""
    for path in sorted(folder.glob("*.jpg")):
        picture = opened(path)
        boxes = boxes_of(picture, finder)[:1] or [(50, 50, 100, 125)]
        for context in (CONTEXT, CONTEXT, CLOSE):
            yield Crop(cut(picture, boxes[0], rng, context), 1, 1, 1, "congress", path.stem)


def photographs(folder: Path, rng: Generator) -> Iterator[Crop]:
    """CID22: the whole picture, crops away from any candidate, faces, statues, and what MTCNN takes for a face."""
    found = json.loads(CID22.read_text(encoding="utf-8"))
    labels = {"face": ("cid22-faces", 1, 1, 1, 24), "art": ("art", 0, 1, 0, 24), "none": ("cid22-finds", 1, 0, 0, 8)}
    for index, path in enumerate(sorted(folder.glob("*.jpg"))):
        if index in NOT_PHOTOS:
            continue
        picture, candidates = opened(path), found.get(path.name, [])
        yield from (Crop(grey(picture), 1, -1, -1, "cid22", path.stem) for _ in range(3))
        for _ in range(24):
            box = random_square(picture, rng)
            if not any(overlap(box, other[1:]) for other in candidates):
                yield Crop(cut(picture, box, rng), 1, 0, 0, "cid22", path.stem)
        for kind, *box in candidates:
            if kind in labels:
                source, photo, face, real, count = labels[kind]
                for number in range(count):
                    context = CLOSE if number % 3 == 2 else CONTEXT
                    yield Crop(cut(picture, tuple(box), rng, context), photo, face, real, source, path.stem)


def filtered(datasets: Path, rng: Generator) -> Iterator[Crop]:
    """Paint, pencil and print filters over the same portraits and photographs, faces small and large."""
    faces = sorted((datasets / "faces_gray").glob("*.jpg"))
    photos = [path for i, path in enumerate(sorted((datasets / "photos").glob("*.jpg"))) if i not in NOT_PHOTOS]
    found = json.loads(CID22.read_text(encoding="utf-8"))
    large = [(datasets / "photos" / name, box) for name, all_ in found.items() for kind, *box in all_ if kind == "face"]
    large = [(path, tuple(box)) for path, box in large if max(box[2:]) >= 70]
    for name, apply in drawn.FILTERS.items():
        for number, index in enumerate(rng.choice(len(faces), 200, replace=False)):
            grown = 1 + number % 2
            portrait = cv2.resize(opened(faces[index]), None, fx=grown, fy=grown, interpolation=cv2.INTER_CUBIC)
            box = (50 * grown, 50 * grown, 100 * grown, 125 * grown)
            context = CLOSE if grown == 2 and number % 4 == 1 else CONTEXT
            yield Crop(cut(apply(portrait, rng), box, rng, context), 0, 1, 0, name, faces[index].stem)
        for path, box in large:
            picture = apply(opened(path), rng)
            for context in (CONTEXT, CONTEXT, CLOSE, CLOSE):
                yield Crop(cut(picture, box, rng, context), 0, 1, 0, f"{name}-large", path.stem)
        for index in rng.choice(len(photos), 50, replace=False):
            picture = apply(opened(photos[index]), rng)
            yield Crop(grey(picture), 0, -1, 0, name, photos[index].stem)
            for _ in range(3):
                yield Crop(cut(picture, random_square(picture, rng), rng), 0, -1, 0, name, photos[index].stem)


def made(finder: Mtcnn, rng: Generator) -> Iterator[Crop]:
    """Vector faces, comics, shaded heads, flat scenes, pages."""
    makers = (
        ("vector", drawn.vector_face, 1, 1200),
        ("comics", drawn.anime_face, 1, 800),
        ("heads", drawn.shaded_head, 1, 1000),
        ("scenes", drawn.flat_scene, 0, 1000),
        ("renders", drawn.soft_scene, 0, 1000),
        ("pages", drawn.page, 0, 500),
    )
    for name, make, face, count in makers:
        for index in range(count):
            yield drawn_crop(make(rng), face, name, f"{name}{index}", finder, rng)


def drawn_crop(picture: Picture, face: int, source: str, origin: str, finder: Mtcnn, rng: Generator) -> Crop:
    """Where the finder sees a face, else the middle, anywhere (no face there) or the whole."""
    side = picture.shape[0]
    found = boxes_of(picture, finder) if rng.random() < 0.6 else []
    if found:
        return Crop(cut(picture, found[rng.integers(len(found))], rng), 0, face, 0, source, origin)
    if rng.random() < 0.3:
        return Crop(grey(picture), 0, face, 0, source, origin)
    middle = (side // 5, side // 5, side * 3 // 5, side * 3 // 5)
    return Crop(cut(picture, middle if face else random_square(picture, rng), rng), 0, face, 0, source, origin)


def from_folders(folder: Path, finder: Mtcnn, rng: Generator) -> Iterator[Crop]:
    """What avatars.mjs wrote: at most 700 of each source but the avatars, whose every style is kept whole."""
    for source in ("avatars", "facesjs", "twemoji", "fluent"):
        paths = sorted(p for p in (folder / source).rglob("*") if p.suffix in (".png", ".webp"))
        chosen = paths if source == "avatars" else [paths[i] for i in rng.permutation(len(paths))[:700]]
        for path in chosen:
            ground = tuple(rng.integers(0, 256, 3).tolist())
            face = 0 if path.parent.name in FACELESS_AVATARS else -1 if source in ("twemoji", "fluent") else 1
            yield drawn_crop(opened(path, ground), face, source, f"{path.parent.name}{path.stem}", finder, rng)


def emoji(font: Path, rng: Generator) -> Iterator[Crop]:
    """Faces and people (U+1F600…64F, 1F466…487, 1F910…97A) and objects (1F32D…393) of a colour bitmap font."""
    ranges = ((0x1F600, 0x1F650, 1), (0x1F466, 0x1F488, 1), (0x1F910, 0x1F97B, -1), (0x1F32D, 0x1F394, 0))
    glyphs = ImageFont.truetype(font, 109)
    for first, last, face in ranges:
        for code in range(first, last):
            for _ in range(2):
                ground = tuple(rng.integers(0, 256, 3).tolist())
                image = Image.new("RGB", (160, 160), ground)
                ImageDraw.Draw(image).text((12, 16), chr(code), font=glyphs, embedded_color=True)
                yield Crop(cut(np.asarray(image), (34, 34, 92, 92), rng), 0, face, 0, "emoji", f"emoji{code}")


def main() -> None:
    """Write one .npz with pixels, photo, face, real, source and origin."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--datasets", type=Path, default=Path("../shared/datasets/images"))
    parser.add_argument("--avatars", type=Path, required=True, help="what avatars.mjs wrote")
    parser.add_argument("--emoji", type=Path, required=True, help="NotoColorEmoji.ttf")
    parser.add_argument("--out", type=Path, default=Path("build/photo-crops.npz"))
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    rng = np.random.default_rng(1)
    finder = Mtcnn()
    crops: list[Crop] = []
    for name, part in {
        "portraits": portraits(arguments.datasets / "faces_gray", finder, rng),
        "photographs": photographs(arguments.datasets / "photos", rng),
        "filtered": filtered(arguments.datasets, rng),
        "made": made(finder, rng),
        "avatars": from_folders(arguments.avatars, finder, rng),
        "emoji": emoji(arguments.emoji, rng),
    }.items():
        crops += part
        print(f"{name}: {len(crops)} crops so far", flush=True)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    np.savez(arguments.out, **{name: np.array([getattr(crop, name) for crop in crops]) for name in Crop._fields})


if __name__ == "__main__":
    main()
