"""All hashes of a picture: of the whole in 8 orientations, and of its regions.

PDQ: Facebook, "The TMK+PDQF video-hashing algorithm and the PDQ image-hashing algorithm", 2019. pHash: imagehash, with
256 bits; hashes of 64 bits are not used: portraits of different people collide at a distance of 6.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import cv2
import imagehash
import numpy as np
import pdqhash
from PIL import Image

from services.core.errors import InvalidInput
from services.core.imaging import Rgb
from services.core.store.banks import BankEntry, Hash, HashKind
from services.image_filter.geometry import at_most
from services.image_filter.regions import Bits, Plane, regions_of

_SIDE = 512  # to which PDQ's reference shrinks
_PHASH_SIDE = 64  # to which imagehash shrinks for 256 bits
_LEAST_QUALITY = 50  # PDQ's own limit: plainer pictures have hashes that match anything plain


@dataclass(frozen=True, slots=True)
class Hashes:
    """Hashes of a picture, (n, 32) uint8 by kind: 8 of the whole, its own orientation first, and any number of regions.

    `plain` where the picture has too little in it to be told from others; then there are none.
    """

    of: dict[HashKind, Bits]
    plain: bool


def hashes_of(picture: Rgb, kinds: Collection[HashKind], query: bool) -> Hashes:
    """The hashes of `kinds`; of regions, for a `query`, also those that the bank may hold in another orientation."""
    small, _ = at_most(picture, _SIDE)
    turned, quality = pdqhash.compute_dihedral(np.ascontiguousarray(small))
    if quality < _LEAST_QUALITY:
        return Hashes({}, plain=True)
    grey = np.asarray(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), np.uint8)
    found: dict[HashKind, Bits] = {}
    if "pdq" in kinds:
        found["pdq"] = np.packbits(np.array(turned), axis=1)
    if "phash256" in kinds:
        found["phash256"] = _perceptual(grey)
    if "region" in kinds:
        found["region"] = regions_of(grey, query)
    return Hashes(found, plain=False)


def sketch_of(picture: Rgb) -> bytes:
    """What near-duplicates of a picture share, as in `Check`: its PDQ hash, 32 bytes; empty for a plain one."""
    small, _ = at_most(picture, _SIDE)
    bits, quality = pdqhash.compute(np.ascontiguousarray(small))
    return b"" if quality < _LEAST_QUALITY else np.packbits(bits).tobytes()


def _perceptual(grey: Plane) -> Bits:
    """The perceptual hashes of the 4 turns of a picture and of its mirror image, its own first, (8, 32) uint8."""
    reduced = np.asarray(Image.fromarray(grey).resize((_PHASH_SIDE, _PHASH_SIDE), Image.Resampling.LANCZOS))
    views = [np.rot90(side, turns) for side in (reduced, reduced[:, ::-1]) for turns in range(4)]
    hashes = [imagehash.phash(Image.fromarray(np.ascontiguousarray(view)), hash_size=16).hash for view in views]
    return np.packbits(np.reshape(hashes, (len(views), -1)), axis=1)


def entry_of(
    picture: Rgb, bank: str, entry: str, tenant: str | None = None, labels: tuple[str, ...] = (), source: str = ""
) -> BankEntry:
    """The entry that makes `picture` known; InvalidInput where it is too plain to be told from other plain ones."""
    hashes = hashes_of(picture, ("pdq", "phash256", "region"), query=False)
    if hashes.plain:
        raise InvalidInput("image", "is too plain for a bank: its hash would match other plain pictures")
    whole: tuple[HashKind, ...] = ("pdq", "phash256")
    rows = [Hash(kind, hashes.of[kind][0].tobytes()) for kind in whole]
    rows += [Hash("region", bits.tobytes()) for bits in hashes.of["region"]]
    return BankEntry(bank, entry, tuple(rows), tenant, labels, source=source)
