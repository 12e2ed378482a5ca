"""Misspelled words: symmetric deletes (Garbe 2012, "SymSpell") find the candidates, rapidfuzz measures the distance.

Two words are near where one can be had from the other by few insertions, deletions, exchanges and swaps of neighbours
(optimal string alignment); then both lose few letters to a common rest. The rests of all known words are kept as one
sorted array of 64-bit hashes, 12 bytes each, so that half a million names take tens of megabytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import combinations, product

import numpy as np
from rapidfuzz.distance import OSA

from services.prompt_filter.vocabulary import vocabulary

_SHORTEST = 4
_LONG = 8
_REMEMBERED = 8192
# A longer word is no name, and would have too many rests.
_LONGEST = 32
# Of more candidates than these for one word, only the nearest are tried.
_MOST = 24

Candidates = list[tuple[str, int]]


def allowance(word: str) -> int:
    """How many edits a known word of this length forgives at most: none below 4 letters, 1 below 8, then 2."""
    return 0 if len(word) < _SHORTEST else 1 if len(word) < _LONG else 2


class Spellings:
    """Known words, found by their misspellings; thread-safe."""

    def __init__(self, words: Iterable[str], most: int = 2) -> None:
        """`most` caps the edits, 1 or 2; with 1 half a million words are ready in seconds."""
        self._most = most
        self.near = lru_cache(_REMEMBERED)(self._near)  # prompts share most of their words
        self._words = [word for word in words if allowance(word)]
        counts = np.zeros(len(self._words), np.int64)
        hashes = np.fromiter(self._hash_all(counts), np.int64)
        order = np.argsort(hashes)
        self._hashes = hashes[order]
        self._owners = np.repeat(np.arange(len(counts), dtype=np.uint32), counts)[order]

    def _hash_all(self, counts: np.ndarray) -> Iterator[int]:
        """The hashes of all rests of all words; `counts` is filled with how many each word has."""
        for index, word in enumerate(self._words):
            rests = _rests(_sound(word), min(self._most, allowance(word)))
            counts[index] = len(rests)
            yield from map(hash, rests)

    def _near(self, word: str) -> Candidates:
        """Known words (not `word` itself) within their allowance, with their distance, nearest first; at most 24."""
        if not self._words or not _SHORTEST - 1 <= len(word) <= _LONGEST:
            return []
        heard = _sound(word)
        queries = np.fromiter(map(hash, _rests(heard, min(self._most, allowance(word + "x") or 1))), np.int64)
        begins = np.searchsorted(self._hashes, queries, "left")
        ends = np.searchsorted(self._hashes, queries, "right")
        found = []
        for owner in {o for at in np.flatnonzero(begins < ends) for o in self._owners[begins[at] : ends[at]].tolist()}:
            known = self._words[owner]
            most = min(self._most, allowance(known))
            distance = OSA.distance(heard, _sound(known), score_cutoff=most)
            if known != word and distance <= most:
                found.append((known, max(1, distance)))
        return sorted(found, key=lambda candidate: (candidate[1], candidate[0]))[:_MOST]


def everyday(word: str) -> bool:
    """Whether a word (lower case) is so common that it was surely meant as it is spelled."""
    return vocabulary().is_common(word)


def corrections(
    candidates: Sequence[Candidates], sizes: Sequence[int], most: int
) -> Iterator[tuple[int, tuple[str, ...], int]]:
    """Runs of words that become another run by 1…`most` edits: (its first word's place, the other run, edits).

    `candidates[i]` is what word i may stand for, itself first with distance 0 if it may; `sizes`, rising, how many
    words a run has. Two words are changed in runs of two, one in all others, so that the work is linear in the text: at
    most 24² + 48 tries for a run of two, 24 for each word of another.
    """
    kept = [options[:1] if options and options[0][1] == 0 else [] for options in candidates]
    other = [options[len(same) :] for options, same in zip(candidates, kept, strict=True)]
    if not any(other):
        return
    reach = 0  # how many words from here on stand for something
    for first in range(len(candidates) - 1, -1, -1):
        reach = reach + 1 if candidates[first] else 0
        for size in sizes:
            if size > reach:
                break
            for changed in [*combinations(range(size), 1), *([(0, 1)] if size == 2 else [])]:
                choices = (other[first + n] if n in changed else kept[first + n] for n in range(size))
                for choice in product(*choices):
                    edits = sum(distance for _, distance in choice)
                    if edits <= most:
                        yield first, tuple(word for word, _ in choice), edits


def _sound(word: str) -> str:
    """`word` with the commonest ways to write one sound made one."""
    return word.replace("ph", "f").replace("ck", "k")


def _rests(word: str, deletes: int) -> set[str]:
    """`word`, and all that is left of it after up to `deletes` (1 or 2) letters are taken out."""
    once = {word[:at] + word[at + 1 :] for at in range(len(word))}
    if deletes == 1:
        return {word} | once
    twice = {rest[:at] + rest[at + 1 :] for rest in once for at in range(len(rest))}
    return {word} | once | twice
