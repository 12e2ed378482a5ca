"""A linear model on hashed word and character n-grams.

Hashing trick after Weinberger et al. 2009; crc32 because the standard library computes it fast and alike everywhere.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np

BUCKETS = 1 << 16
WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)?|[^\w\s]")


def buckets(text: str) -> set[int]:
    """The buckets of the text's words, pairs of words, and runs of 3 to 5 characters in a word with its borders."""
    words = WORD.findall(text.lower())
    found = pairs(words)
    for word in words:
        found.update(_of_word(word))
    return found


def pairs(words: Iterable[str]) -> set[int]:
    """The buckets of the pairs of neighbours."""
    return {bucket(f"b {one} {other}") for one, other in pairwise(words)}


@lru_cache(maxsize=1 << 15)
def _of_word(word: str) -> tuple[int, ...]:
    bordered = f"<{word}>"
    grams = {bordered[at : at + size] for size in (3, 4, 5) for at in range(len(bordered) - size + 1)}
    return tuple(map(bucket, [f"w {word}", *grams]))


def bucket(gram: str) -> int:
    """Where an n-gram counts."""
    return zlib.crc32(gram.encode()) % BUCKETS


@dataclass(frozen=True, slots=True)
class NgramModel:
    """`weights` int8 (BUCKETS, H), `scales` float32 (H,), `bias` float32 (H,): logit = bias + Σ weight·scale / √n."""

    weights: np.ndarray
    scales: np.ndarray
    bias: np.ndarray

    def share(self, word: str, head: int) -> float:
        """What a word alone says for a head, in a text that has no more n-grams than it has."""
        rows = list(_of_word(word.lower()))
        return float(self.weights[rows, head].sum(dtype=np.int32) * self.scales[head] / len(rows) ** 0.5)

    def logits(self, text: str) -> np.ndarray:
        """float32 (H,); presence of each n-gram, scaled to length one."""
        rows = list(buckets(text))
        if not rows:
            return self.bias
        total = self.weights[rows].sum(axis=0, dtype=np.int32)
        logits: np.ndarray = self.bias + total * self.scales / np.float32(len(rows) ** 0.5)
        return logits
