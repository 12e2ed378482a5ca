"""Banks of known images: which entries a picture is a copy of, turned, mirrored, cropped or covered in part.

PDQ and the perceptual hash compare whole pictures, hashes of regions compare what a crop leaves of one. Entries that
came as a hash only have no regions: for them there is no second chance.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import get_args

from services.core import telemetry
from services.core.imaging import Rgb
from services.core.signals import BankMatch, Signal
from services.core.store.bank_index import KnownImages
from services.core.store.banks import OPINIONS, BankEntry, HashKind, Opinion
from services.image_filter.hashes import hashes_of
from services.image_filter.multi_index import MultiIndex

# What the policy gets to see; an entry that is called harmless (negative_class) never matches.
SCORES: dict[Opinion, float] = {
    "positive_class": 1.0,
    "investigation_seed": 0.5,
    "disputed": 0.5,
    "negative_class": 0.0,
}


# Of 256 bits. Facebook's threshold for PDQ; the nearest two different pictures of ours are 46 (PDQ), 42 (pHash) and 50
# (region) bits apart, and regions 26 under one and the same bar of text.
MOST_BITS: dict[HashKind, int] = {"pdq": 31, "phash256": 31, "region": 24}


@dataclass(frozen=True, slots=True)
class Match:
    """An entry (by its place among the known images) that a picture matches: by what, and at what distance in bits."""

    place: int
    kind: HashKind
    bits: int


class Seen:
    """Counts which entries matched, by their number, from any thread, until somebody writes them down."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[int] = Counter()

    def add(self, entries: Iterable[int]) -> None:
        """Each of `entries` was seen once more."""
        with self._lock:
            self._counts.update(entries)

    def take(self) -> Counter[int]:
        """What was counted since the last call; it counts from zero again."""
        with self._lock:
            counts, self._counts = self._counts, Counter()
        return counts

    def put_back(self, counts: Counter[int]) -> None:
        """Takes what could not be written down."""
        with self._lock:
            self._counts += counts


class Banks:
    """Entries ready for search; `version` names their state."""

    source = "banks/2"

    def __init__(self, known: KnownImages | Sequence[BankEntry], version: str, seen: Seen | None = None) -> None:
        """Blocking, some seconds for a million entries; `seen` is told of every match."""
        self.version = version
        self.known = known if isinstance(known, KnownImages) else KnownImages.of(known)
        self._seen = seen
        self._indexes = {kind: (places, MultiIndex(bits)) for kind, (places, bits) in self.known.hashes.items()}

    def __len__(self) -> int:
        return len(self.known.ids)

    def show(self) -> None:
        """Publishes how much is in the index."""
        telemetry.IMAGE_BANK_ENTRIES.set(len(self))
        for kind in get_args(HashKind):
            _, index = self._indexes.get(kind, (None, ()))
            telemetry.IMAGE_BANK_HASHES.labels(kind).set(len(index))

    def search(self, picture: Rgb, tenant: str | None = None) -> tuple[Signal, ...]:
        """One `known_image` signal for each entry of the house or of `tenant` that the picture is a copy of.

        The score is that of the entry's opinion.
        """
        signals = {}
        seen = []
        for match in self.matches(picture):
            owner, bank = self.known.names.get(int(self.known.banks[match.place]), ("", ""))
            score = SCORES[OPINIONS[self.known.opinions[match.place]]]
            if owner not in (None, tenant) or not bank or not score:
                continue
            entry = str(self.known.entries[match.place])
            signals[bank, entry, owner] = Signal("known_image", score, self.source, BankMatch(bank, entry, match.bits))
            seen.append(int(self.known.ids[match.place]))
        if self._seen and seen:
            self._seen.add(seen)
        return tuple(signals[key] for key in sorted(signals, key=str))

    def matches(self, picture: Rgb) -> list[Match]:
        """Every entry within MOST_BITS of the picture, whoever's it is, by its nearest hash; none for a plain one."""
        best: dict[int, Match] = {}
        if not self._indexes:
            return []
        hashes = hashes_of(picture, self._indexes.keys(), query=True)
        for kind, queries in hashes.of.items():
            places, index = self._indexes[kind]
            for row, bits in zip(*index.search(queries), strict=True):
                match = Match(int(places[row]), kind, int(bits))
                nearer = match.place not in best or match.bits < best[match.place].bits
                if match.bits <= MOST_BITS[kind] and nearer:
                    best[match.place] = match
        return [best[place] for place in sorted(best)]
