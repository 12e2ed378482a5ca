"""Known names and terms: Aho–Corasick over the readable text, whole words only.

Two banks ship with the house: public figures (data/people.txt, data/officials.txt) and terms with category and score
(data/terms.csv). Exceptions (data/exceptions.txt) are longer phrases in which an entry means something else; they win
over the entry.
"""

from __future__ import annotations

import csv
import hashlib
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.resources import files

import ahocorasick

from services.core.errors import ConfigurationError
from services.core.policy.categories import CATEGORIES

PEOPLE = "people-bank/1"
TERMS = "term-bank/1"
_FULL_NAME, _ONE_WORD = 0.95, 0.85
# Members of Congress share their names with many others: enough for a look, not for a refusal.
_LESS_KNOWN = 0.5


@dataclass(frozen=True, slots=True)
class Entry:
    """What a match means: `category` and `score` 0…1 of the signal, `source` the bank; an exception has no category."""

    category: str
    score: float
    source: str


@dataclass(frozen=True, slots=True)
class Hit:
    """An entry at characters `start`…`end` of the text that was searched."""

    entry: Entry
    start: int
    end: int


class Banks:
    """The entries by their spelling in lower case, without accents; `digest` is the sha256 of them all."""

    def __init__(self, entries: Iterable[tuple[str, Entry]]) -> None:
        self._automaton = ahocorasick.Automaton()
        sums = hashlib.sha256()
        for text, entry in entries:
            sums.update(f"{text}\t{entry}\n".encode())
            folded = fold(text)
            known = self._automaton.get(folded, None)
            # An exception stays one; of two entries of one spelling the higher score counts.
            if known is None or (known[1].category and (not entry.category or entry.score > known[1].score)):
                self._automaton.add_word(folded, (len(folded), entry))
        self._automaton.make_automaton()
        self.digest = sums.hexdigest()

    @classmethod
    def load(cls) -> Banks:
        """The banks that ship with the house; raises ConfigurationError with file and line where one is malformed."""
        return cls([*_people(), *_terms(), *_exceptions()])

    def search(self, text: str) -> list[Hit]:
        """All whole-word matches in `text` but those inside an exception, in order; of overlapping ones the longest."""
        folded = fold(text)
        if len(folded) != len(text):  # a letter that folds to several (ß): places would shift
            folded = "".join(letter if len(letter) == 1 else "?" for letter in map(fold, text))
        found = []
        for last, (length, entry) in self._automaton.iter(folded):
            start, end = last - length + 1, last + 1
            if not (_in_word(folded, start - 1) or _in_word(folded, end)):
                found.append(Hit(entry, start, end))
        found.sort(key=lambda hit: (hit.start, -hit.end))
        kept: list[Hit] = []
        for hit in found:
            if not kept or hit.start >= kept[-1].end:
                kept.append(hit)
        return [hit for hit in kept if hit.entry.category]


def fold(text: str) -> str:
    """Lower case without accents, a hyphen like a blank."""
    if not text.isascii():
        decomposed = unicodedata.normalize("NFD", text)
        text = unicodedata.normalize("NFC", "".join(mark for mark in decomposed if not unicodedata.combining(mark)))
    return text.lower().replace("-", " ").replace("’", "'")


def _in_word(text: str, at: int) -> bool:
    return 0 <= at < len(text) and text[at].isalnum()


def _lines(name: str) -> list[tuple[int, str]]:
    """The lines of a data file that say something, with their numbers."""
    lines = files(__package__).joinpath(f"data/{name}").read_text(encoding="utf-8").splitlines()
    return [(number, line.strip()) for number, line in enumerate(lines, 1) if line.strip() and not line.startswith("#")]


def _people() -> Iterable[tuple[str, Entry]]:
    """`Name | alias | alias` a line."""
    for file, full_name in (("people.txt", _FULL_NAME), ("officials.txt", _LESS_KNOWN)):
        for _, line in _lines(file):
            for name in (part.strip() for part in line.split("|")):
                yield name, Entry("public_figure", full_name if " " in name else _ONE_WORD, PEOPLE)


def _terms() -> Iterable[tuple[str, Entry]]:
    """`term,category,score` a line."""
    lines = _lines("terms.csv")
    for (number, _), row in zip(lines, csv.reader(line for _, line in lines), strict=True):
        if len(row) != 3 or row[1] not in CATEGORIES or not re.fullmatch(r"0?\.\d+", row[2]):
            raise ConfigurationError(f"terms.csv line {number}: needs term, a known category, a score below 1")
        yield row[0], Entry(row[1], float(row[2]), TERMS)


def _exceptions() -> Iterable[tuple[str, Entry]]:
    """One phrase a line."""
    for _, line in _lines("exceptions.txt"):
        yield line, Entry("", 0.0, TERMS)
