"""The pictures that are measured on: folders of yours, else what neither model nor threshold was made from.

Real faces: photographs of Kodak and CLIC (`shared/provenance/photos` beside the repository, if it is there), the
astronaut of scikit-image. Drawn: by code here, with seeds that training does not use, and by filters over these faces.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from PIL import Image, ImageOps
from skimage import data

from training.image_filter import drawn

Kind = Literal["real", "drawn", "faceless"]
Rgb = np.ndarray

PHOTOS = Path(__file__).resolve().parents[3] / "shared" / "provenance" / "photos"
SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".gif"}
# PHOTOS with a living face that can be made out; those in _NEITHER have a statue, backs, or people far off.
_FACES = {"clic_0369", "clic_100f", "clic_1cba", "clic_28d2", "clic_a10a", "clic_b51d", "clic_c951", "clic_e0d8"}
_FACES |= {"kodim04", "kodim14", "kodim15", "kodim18"}
_NEITHER = {"kodim12", "kodim17", "kodim09", "kodim10", "clic_7e49"}
_FACELESS_SAMPLES = ("coffee", "chelsea", "rocket", "brick", "grass", "gravel", "coins", "immunohistochemistry", "cat")
_DRAWN = 90
_OF_DRAWN = ("", "poor")
_SEED = 1_000_003


@dataclass(frozen=True, slots=True)
class Picture:
    """A file with what is in it."""

    name: str
    kind: Kind
    data: bytes


def of_folder(folder: Path, kind: Kind) -> list[Picture]:
    """Every picture under a folder."""
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    return [Picture(path.name, kind, path.read_bytes()) for path in paths]


def at_hand() -> list[Picture]:
    """Without folders of yours."""
    found = [Picture("astronaut", "real", saved(data.astronaut()))]
    for name in _FACELESS_SAMPLES:
        picture = getattr(data, name)()
        found.append(Picture(name, "faceless", saved(picture if picture.ndim == 3 else np.dstack([picture] * 3))))
    for path in sorted(PHOTOS.glob("*/*.webp")):
        stem = path.stem if path.stem.startswith("kodim") else path.stem[:9]
        if stem not in _NEITHER:
            found.append(Picture(path.name, "real" if stem in _FACES else "faceless", path.read_bytes()))
    return found + list(_drawn(found))


def looks(pictures: list[Picture]) -> Iterator[Picture]:
    """Each as it is and as people send it again: mirrored, turned, half the size, dark, as a poor JPEG, grey.

    Of what is drawn there are many: only as they are, and as poor JPEGs.
    """
    for picture in pictures:
        rgb = opened(picture.data)
        for name, change in CHANGES.items():
            if picture.kind == "drawn" and name not in _OF_DRAWN:
                continue
            yield Picture(f"{picture.name} {name}".strip(), picture.kind, change(rgb))


def opened(file: bytes) -> Rgb:
    """RGB of a file that we trust: the measurer's own."""
    return np.asarray(ImageOps.exif_transpose(Image.open(BytesIO(file))).convert("RGB"))


def saved(rgb: Rgb, kind: str = "PNG", **options: int) -> bytes:
    """A file of these pixels."""
    file = BytesIO()
    Image.fromarray(np.ascontiguousarray(rgb)).save(file, kind, **options)
    return file.getvalue()


def _half(rgb: Rgb) -> Rgb:
    return cv2.resize(rgb, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)


def _grey(rgb: Rgb) -> Rgb:
    return np.dstack([cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)] * 3)


CHANGES: dict[str, Callable[[Rgb], bytes]] = {
    "": lambda rgb: saved(rgb, "JPEG", quality=90),
    "mirrored": lambda rgb: saved(rgb[:, ::-1], "JPEG", quality=85),
    "turned": lambda rgb: saved(np.rot90(rgb), "JPEG", quality=85),
    "half": lambda rgb: saved(_half(rgb)),
    "dark": lambda rgb: saved((rgb * 0.45).astype(np.uint8)),
    "poor": lambda rgb: saved(rgb, "JPEG", quality=25),
    "grey": lambda rgb: saved(_grey(rgb)),
}


def _drawn(photos: list[Picture]) -> Iterator[Picture]:
    """Faces drawn by code, and the same photographs of faces under every paint and pencil filter."""
    rng = np.random.default_rng(_SEED)
    makers = (drawn.vector_face, drawn.anime_face, drawn.shaded_head)
    for index in range(_DRAWN):
        make = makers[index % len(makers)]
        yield Picture(f"{make.__name__}{index}", "drawn", saved(make(rng)))
    for photo in photos:
        if photo.kind == "real":
            small = cv2.resize(opened(photo.data), (512, 512), interpolation=cv2.INTER_AREA)
            for name, apply in drawn.FILTERS.items():
                yield Picture(f"{photo.name} {name}", "drawn", saved(apply(small, rng)))
