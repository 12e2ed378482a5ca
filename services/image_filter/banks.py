"""Banks of known images: PDQ and a 256-bit perceptual hash, compared by Hamming distance.

PDQ: Facebook, "The TMK+PDQF video-hashing algorithm and the PDQ image-hashing algorithm", 2019; pHash: imagehash.
64-bit hashes are not used: portraits of different people collide at a distance of 6.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import imagehash
import numpy as np
import pdqhash
from numpy.typing import NDArray
from PIL import Image

from services.core.errors import InvalidInput
from services.core.imaging import Rgb
from services.core.signals import BankMatch, Signal
from services.core.store.banks import HASH_BYTES, BankEntry, HashKind

MOST_BITS = 31  # of 256: Facebook's threshold for PDQ
_SIDE = 512
_LEAST_QUALITY = 50  # PDQ's own limit: plainer pictures have hashes that match anything plain

Bits = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Hashes:
    """A picture's hashes in all 8 orientations, (8, 32) uint8 each; `plain` where the picture has too little in it."""

    pdq: Bits
    phash256: Bits
    plain: bool


class Banks:
    """Entries ready for search; `version` names their state."""

    source = "banks/1"

    def __init__(self, entries: Sequence[BankEntry], version: str) -> None:
        self.version = version
        self._entries = {kind: [e for e in entries if e.kind == kind] for kind in ("pdq", "phash256")}
        self._hashes = {
            kind: np.frombuffer(b"".join(e.hash for e in own), np.uint8).reshape(-1, HASH_BYTES)
            for kind, own in self._entries.items()
        }

    def search(self, picture: Rgb) -> tuple[Signal, ...]:
        """One `known_image` signal of score 1 for each entry within 31 bits, nearest orientation counted."""
        if not any(self._entries.values()):
            return ()
        query = hashes_of(picture)
        if query.plain:
            return ()
        best: dict[tuple[str, str], int] = {}
        for kind, own in self._entries.items():
            near = _nearest(getattr(query, kind), self._hashes[kind])
            for index in np.flatnonzero(near <= MOST_BITS):
                key = own[index].bank, own[index].entry
                best[key] = min(int(near[index]), best.get(key, MOST_BITS))
        return tuple(
            Signal("known_image", 1.0, self.source, BankMatch(bank, entry, bits))
            for (bank, entry), bits in sorted(best.items())
        )


def hashes_of(picture: Rgb) -> Hashes:
    """PDQ and 256-bit pHash of the 4 turns of a picture and of its mirror image."""
    longest = max(picture.shape[:2])
    if longest > _SIDE:
        scale = _SIDE / longest
        picture = np.asarray(cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)
    turned, quality = pdqhash.compute_dihedral(np.ascontiguousarray(picture))
    grey = Image.fromarray(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY))
    mirrored = grey.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    views = [view.rotate(angle, expand=True) for view in (grey, mirrored) for angle in (0, 90, 180, 270)]
    perceptual = [imagehash.phash(view, hash_size=16).hash.reshape(-1) for view in views]
    return Hashes(
        np.packbits(np.array(turned), axis=1), np.packbits(np.array(perceptual), axis=1), quality < _LEAST_QUALITY
    )


def entry_of(picture: Rgb, bank: str, entry: str, kind: HashKind) -> BankEntry:
    """The entry that makes `picture` known; InvalidInput where it is too plain to be told from other plain ones."""
    hashes = hashes_of(picture)
    if hashes.plain:
        raise InvalidInput("image", "is too plain for a bank: its hash would match other plain pictures")
    return BankEntry(bank, entry, kind, getattr(hashes, kind)[0].tobytes())


def _nearest(queries: Bits, known: Bits) -> NDArray[np.int64]:
    """For each known hash, the distance in bits to the nearest query."""
    if not len(known):
        return np.empty(0, np.int64)
    distances = [np.bitwise_count(known ^ query).sum(axis=1, dtype=np.int64) for query in queries]
    nearest: NDArray[np.int64] = np.min(distances, axis=0)
    return nearest
