"""All hashes of a picture: of the whole in 8 orientations, and of its regions."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import cv2
import numpy as np

from services.core.errors import InvalidInput
from services.core.imaging import Rgb
from services.core.store.banks import BankEntry, Hash, HashKind
from services.image_filter.geometry import at_most
from services.image_filter.pdq import blocks_of, pdq_of, quality_of
from services.image_filter.phash import phash_of
from services.image_filter.regions import regions_of
from services.image_filter.waves import Bits

_SIDE = 512  # to which PDQ's reference shrinks
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
    blocks = blocks_of(small)
    if quality_of(blocks) < _LEAST_QUALITY:
        return Hashes({}, plain=True)
    found: dict[HashKind, Bits] = {}
    if "pdq" in kinds:
        found["pdq"] = pdq_of(blocks)
    if "phash256" in kinds or "region" in kinds:
        grey = np.asarray(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), np.uint8)
        if "phash256" in kinds:
            found["phash256"] = phash_of(grey)
        if "region" in kinds:
            found["region"] = regions_of(grey, query)
    return Hashes(found, plain=False)


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
