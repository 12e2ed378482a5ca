"""The English words that decide how a disguised or foreign-looking text is read."""

from __future__ import annotations

import csv
import gzip
import math
import re
from collections import defaultdict
from collections.abc import Iterable
from functools import cache
from importlib.resources import files

_LONGEST = 16
# Of one and two letters only these are words; lists of words hold abbreviations of every kind.
_SHORT = frozenset(
    [
        "a",
        "i",
        *[
            "am",
            "an",
            "as",
            "at",
            "be",
            "by",
            "do",
            "go",
            "he",
            "hi",
            "if",
            "in",
            "is",
            "it",
            "me",
            "my",
            "no",
            "of",
            "oh",
            "on",
            "or",
            "ox",
            "so",
            "to",
            "up",
            "us",
            "we",
        ],
    ]
)
# What a piece of a split costs beside its rarity, so that few long words win over many short ones.
_PIECE = 4.0
# What a letter run costs that is no word, and an "s" or "t" that lost its apostrophe.
_NO_WORD, _TAIL = 20.0, 10.0
# What a letter costs that belongs to no word.
_UNKNOWN = 14.0
_MASKS = "*#%_-."
_MAX_MASKED = 3
# That many of the commonest words stand behind stars too.
_STARRED = 20_000
# How much likelier a coarse word is behind stars.
_COARSE = 1.0


class Vocabulary:
    """`words` in lower case, the commonest first, are what a disguise may hide; `rare` ones are only known as such.

    `coarse` are those that people write with stars.
    """

    def __init__(self, words: Iterable[str], coarse: Iterable[str] = (), rare: Iterable[str] = ()) -> None:
        self._rare = frozenset(rare)
        self._coarse: dict[tuple[str, int], list[str]] = defaultdict(list)
        for word in coarse:
            self._coarse[word[0], len(word)].append(word)
        known = [*words]
        self._shapes: dict[tuple[str, int], list[str]] = defaultdict(list)
        for word in known[:_STARRED]:
            self._shapes[word[0], len(word)].append(word)
        self._costs = {word: math.log(10 + rank) for rank, word in reversed([*enumerate(known)])}
        for group in self._coarse.values():
            for word in group:
                self._costs.setdefault(word, math.log(10 + len(known)))
        self._pieces = {
            word: self.cost(word) + _PIECE for word in (*self._costs, *_SHORT) if self.cost(word) < math.inf
        }

    def __contains__(self, word: str) -> bool:
        return word in self._costs or word in self._rare

    def __len__(self) -> int:
        return len(self._costs) + len(self._rare)

    def is_common(self, word: str) -> bool:
        """One of `words`, abbreviations among them."""
        return word in self._costs

    def cost(self, word: str) -> float:
        """How rare `word` is, as the logarithm of its rank; infinite where it is none or a mere abbreviation."""
        if len(word) <= 2 and word not in _SHORT:
            return math.inf
        return self._costs.get(word, 0.0 if word in _SHORT else math.inf)

    def piece_cost(self, piece: str) -> float:
        """How unlikely it is that `piece` stands alone: the rarity of a word, more for what is none."""
        if len(piece) == 1 and piece not in _SHORT:
            return _TAIL if piece in "stdm" else _NO_WORD
        return self._pieces.get(piece, _NO_WORD - _PIECE if piece in self else _NO_WORD)

    def split(self, letters: str) -> list[str] | None:
        """`letters` (lower case) as a row of words, the cheapest one; None where they are mostly no words. Linear."""
        best: list[tuple[float, int]] = [(0.0, 0)]
        costs = self._pieces
        for end in range(1, len(letters) + 1):
            cheapest, start = best[end - 1][0] + _UNKNOWN, end - 1
            for begin in range(max(0, end - _LONGEST), end):
                cost = costs.get(letters[begin:end])
                if cost is not None and best[begin][0] + cost < cheapest:
                    cheapest, start = best[begin][0] + cost, begin
            best.append((cheapest, start))
        parts: list[str] = []
        end, unknown, stray = len(letters), 0, False
        while end:
            begin = best[end][1]
            piece = letters[begin:end]
            is_stray = piece not in costs
            unknown += is_stray
            # Letters that belong to no word stand together.
            parts[-1:] = [piece + parts[-1]] if stray and is_stray else [*parts[-1:], piece]
            end, stray = begin, is_stray
        return parts[::-1] if unknown * 6 <= len(letters) else None

    def unmasked(self, word: str) -> str | None:
        """The word some of whose letters `word` (lower case) hides behind stars or the like, rather a coarse one."""
        masks = sum(letter in _MASKS for letter in word)
        if not 1 <= masks <= _MAX_MASKED or masks * 2 > len(word) or not word[0].isalpha():
            return None
        shape = (word[0], len(word))
        found = {known: self.cost(known) - _COARSE for known in self._coarse.get(shape, ()) if _fits(known, word)}
        if len(word) > 3 and word.count("*") == masks:
            found = {known: self.cost(known) for known in self._shapes.get(shape, ()) if _fits(known, word)} | found
        return min(found, key=lambda known: found[known], default=None)


def _fits(known: str, masked: str) -> bool:
    if known[-1] != masked[-1] and masked[-1] not in _MASKS:  # most end here
        return False
    return all(a == b or b in _MASKS for a, b in zip(known, masked, strict=True))


@cache
def vocabulary() -> Vocabulary:
    """The words that ship with the filter (data/english.txt.gz, data/terms.csv)."""
    data = files(__package__).joinpath("data")
    common, rare = gzip.decompress(data.joinpath("english.txt.gz").read_bytes()).decode("ascii").split("\n\n")
    rows = csv.reader(data.joinpath("terms.csv").read_text(encoding="utf-8").splitlines())
    coarse = (row[0] for row in rows if row and re.fullmatch("[a-z]{3,}", row[0]))
    return Vocabulary(common.split(), coarse, rare.split())
