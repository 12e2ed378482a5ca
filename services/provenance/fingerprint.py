"""What a picture looks like, in few bytes: perceptual hashes to find it by, and a sketch to compare it with.

PDQ (Facebook, 2019) survives re-encoding, resizing and mild filters; not crops or overlays. The sketch, 32 × 32 sRGB,
tells whether a copy that a mark claims to be ours, or a part of it, really shows that picture.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

import cv2
import imagehash
import numpy as np
import pdqhash
from numpy.typing import NDArray
from PIL import Image

Rgb = NDArray[np.uint8]
Plane = NDArray[np.float32]

SKETCH_SIDE = 32
_HASHED_SIDE = 1024
# The distance up to which PDQ's authors call two pictures the same.
PDQ_RADIUS = 31
# Below this quality they advise not to rely on a match.
_GOOD_QUALITY = 50
_SAME = 0.9
_PART = 0.8
_WHOLE = 0.85
_LEAST_CELLS = 4
_MOST_CELLS = 2 * SKETCH_SIDE
_FLAT = 1.5
_SHADE = 12.0
_ALIKE = 0.7
_OVERLAP = 0.6


class Likeness(Enum):
    """How a picture compares with a registered one."""

    SAME = "same"
    PART = "part"
    DIFFERENT = "different"


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """`pdq` 32 bytes with its `quality` 0 … 100, `phash` 8 bytes, `sketch` 32 × 32 × 3 bytes in rows."""

    pdq: bytes
    quality: int
    phash: bytes
    sketch: bytes


@dataclass(frozen=True, slots=True)
class Look:
    """A registered picture: its PDQ hash and quality, its sketch, and its size in pixels."""

    pdq: bytes
    quality: int
    sketch: bytes
    width: int
    height: int


def fingerprint(rgb: Rgb) -> Fingerprint:
    """The fingerprint of an H × W × 3 sRGB picture."""
    bits, quality = pdqhash.compute(_reduced(rgb))
    phash = np.packbits(imagehash.phash(Image.fromarray(rgb)).hash.flatten()).tobytes()
    return Fingerprint(np.packbits(bits).tobytes(), int(quality), phash, sketch_of(rgb).tobytes())


def pdq_orientations(rgb: Rgb) -> tuple[bytes, ...]:
    """PDQ of a picture in the eight orientations of a square, 32 bytes each."""
    hashes, _ = pdqhash.compute_dihedral(_reduced(rgb))
    return tuple(np.packbits(bits).tobytes() for bits in hashes)


def compare(rgb: Rgb, aligned: Plane | None, registered: Look) -> Likeness:
    """How a picture compares with a registered one.

    `aligned` is its luma at the registered picture's scale and turn, where a mark told those; without it, only a copy
    of the whole can be recognised.
    """
    if _near(pdq_orientations(rgb), registered) or _same_colours(rgb, registered.sketch):
        return Likeness.SAME
    return Likeness.DIFFERENT if aligned is None else _compare_part(aligned, registered)


def confirms(rgb: Rgb, registered: Look) -> bool:
    """Whether a match by PDQ alone can be relied on: where PDQ found little to hold on to, colours must agree too."""
    return registered.quality >= _GOOD_QUALITY or _same_colours(rgb, registered.sketch)


def _near(hashes: Iterable[bytes], registered: Look) -> bool:
    theirs = int.from_bytes(registered.pdq, "big")
    return min((int.from_bytes(value, "big") ^ theirs).bit_count() for value in hashes) <= PDQ_RADIUS


def _same_colours(rgb: Rgb, sketch: bytes) -> bool:
    """Whether a whole picture, as it lies or turned or mirrored, shows what the sketch shows, colours included."""
    theirs, mine = unpack(sketch), sketch_of(rgb)
    views = (np.rot90(side, turns) for side in (mine, mine[:, ::-1]) for turns in range(4))
    return max(_correlation(view, theirs) for view in views) >= _SAME


def _compare_part(plane: Plane, registered: Look) -> Likeness:
    shown = cv2.cvtColor(unpack(registered.sketch), cv2.COLOR_RGB2GRAY).astype(np.float32)
    cells = (
        round(plane.shape[1] * SKETCH_SIDE / registered.width),
        round(plane.shape[0] * SKETCH_SIDE / registered.height),
    )
    if min(cells) < _LEAST_CELLS:
        return Likeness.DIFFERENT
    mine = _middle(cv2.resize(np.ascontiguousarray(plane), cells, interpolation=cv2.INTER_AREA))
    part, whole = sorted((mine, shown), key=np.size)
    if not _shows(whole, part):
        return Likeness.DIFFERENT
    return Likeness.SAME if min(cells) >= _WHOLE * SKETCH_SIDE else Likeness.PART


def unpack(sketch: bytes) -> Rgb:
    """A stored sketch as pixels, 32 × 32 × 3."""
    return np.frombuffer(sketch, np.uint8).reshape(SKETCH_SIDE, SKETCH_SIDE, 3)


def _reduced(rgb: Rgb) -> Rgb:
    """At most 1,024 pixels a side: PDQ looks at 64 × 64 in the end, but takes a second for what a camera makes."""
    factor = _HASHED_SIDE / max(rgb.shape)
    if factor >= 1.0:
        return np.ascontiguousarray(rgb)
    size = [max(1, round(side * factor)) for side in rgb.shape[1::-1]]
    small: Rgb = cv2.resize(np.ascontiguousarray(rgb), size, interpolation=cv2.INTER_AREA)
    return small


def sketch_of(rgb: Rgb) -> Rgb:
    """The mean colour of each cell of 32 × 32, whatever the picture's shape."""
    small: Rgb = cv2.resize(np.ascontiguousarray(rgb), (SKETCH_SIDE, SKETCH_SIDE), interpolation=cv2.INTER_AREA)
    return small


def _middle(cells: Plane) -> Plane:
    """At most twice the sketch's size, which bounds the work on large pictures."""
    top, left = (max(0, side - _MOST_CELLS) // 2 for side in cells.shape)
    return cells[top : top + _MOST_CELLS, left : left + _MOST_CELLS]


def _shows(whole: Plane, part: Plane) -> bool:
    """Whether `part` agrees with `whole` in some place, where it may stick out by half.

    Agrees: correlates, or most cells have nearly the same shade (a sticker or a line of text ruins correlation).
    """
    height, width = part.shape
    frame = ((height // 2,) * 2, (width // 2,) * 2)
    views = (height, width)
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(whole, frame), views).reshape(-1, height * width)
    known = np.lib.stride_tricks.sliding_window_view(np.pad(np.ones_like(whole), frame), views).reshape(windows.shape)
    enough = known.mean(axis=1) >= _OVERLAP
    if not enough.any():
        return False
    windows, known = windows[enough], known[enough]
    cells = part.ravel()
    alike = ((np.abs(windows - cells) < _SHADE) * known).sum(axis=1) / known.sum(axis=1)
    return bool(max(alike.max() / _ALIKE, _correlations(windows, cells, known).max() / _PART) >= 1.0)


def _correlations(windows: Plane, cells: Plane, known: Plane) -> Plane:
    """Correlation of each window with the cells over what is known; 0 where either is flat."""
    count = known.sum(axis=1, keepdims=True)
    a = (windows - (windows * known).sum(axis=1, keepdims=True) / count) * known
    b = (cells - (cells * known).sum(axis=1, keepdims=True) / count) * known
    power = (a**2).sum(axis=1) * (b**2).sum(axis=1)
    found: Plane = (a * b).sum(axis=1) / np.sqrt(np.maximum(power, (_FLAT**2 * count[:, 0]) ** 2))
    return found


def _correlation(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> float:
    a, b = (values.astype(np.float32).ravel() - values.mean() for values in (first, second))
    return float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b) + 1e-9))
