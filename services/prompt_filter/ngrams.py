"""A linear model on hashed word and character n-grams, and the words that weigh most in it.

Hashing trick after Weinberger et al. 2009; crc32 because the standard library computes it fast and alike everywhere.
"""

from __future__ import annotations

import re
import zlib
from collections import defaultdict
from dataclasses import dataclass

import numpy as np

BUCKETS = 1 << 16
_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)?|[^\w\s]")


def buckets(text: str) -> dict[int, list[tuple[int, int]]]:
    """Each bucket of the text's n-grams with where in `text` (start, end) they stand.

    N-grams: words, pairs of words, and runs of 3 to 5 characters inside a word with its borders.
    """
    found: dict[int, list[tuple[int, int]]] = defaultdict(list)
    before: tuple[str, int] | None = None
    for match in _WORD.finditer(text.lower()):
        word, (start, end) = match.group(), match.span()
        found[_bucket(f"w {word}")].append((start, end))
        if before:
            found[_bucket(f"b {before[0]} {word}")].append((before[1], end))
        before = (word, start)
        bordered = f"<{word}>"
        for size in (3, 4, 5):
            for at in range(len(bordered) - size + 1):
                found[_bucket(bordered[at : at + size])].append((start, end))
    return found


def _bucket(gram: str) -> int:
    return zlib.crc32(gram.encode()) % BUCKETS


@dataclass(frozen=True, slots=True)
class NgramModel:
    """`weights` int8 (BUCKETS, C), `scales` float32 (C,), `bias` float32 (C,): logit = bias + Σ weight·scale / √n."""

    weights: np.ndarray
    scales: np.ndarray
    bias: np.ndarray

    def logits(self, text: str) -> np.ndarray:
        """float32 (C,); presence of each n-gram, scaled to length one."""
        rows = list(buckets(text))
        if not rows:
            return self.bias
        total = self.weights[rows].sum(axis=0, dtype=np.int32)
        logits: np.ndarray = self.bias + total * self.scales / np.float32(len(rows) ** 0.5)
        return logits

    def heaviest(self, text: str, category: int) -> tuple[int, int] | None:
        """Where in `text` the word stands that speaks loudest for the category; None where none does."""
        share: dict[tuple[int, int], int] = defaultdict(int)
        for row, places in buckets(text).items():
            for place in places:
                share[place] += int(self.weights[row, category])
        best = max(share, key=lambda place: share[place], default=None)
        return best if best is not None and share[best] > 0 else None
