"""Known names and terms in a text: the house's banks, and a tenant's own beside them.

Exceptions are longer phrases in which an entry means something else; they win over the entries inside them. The house's
hold for names and terms. A tenant's hold for terms alone, and never lower what `sexual.minors` is composed of.
"""

from __future__ import annotations

import csv
import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.resources import files

from services.core.errors import ConfigurationError
from services.core.policy.categories import CATEGORIES
from services.core.signals import ModelVersion
from services.core.store.terms import Term
from services.prompt_filter.context import Kin, Scene
from services.prompt_filter.name_index import Find, NameIndex
from services.prompt_filter.people import shipped_people
from services.prompt_filter.term_bank import Entry, Hit, TermBank, except_inside, longest
from services.prompt_filter.vocabulary import vocabulary
from services.prompt_filter.words import Word, fold, fold_in_place, words_of

__all__ = ["PEOPLE", "TERMS", "Added", "Banks", "Entry", "Hit", "fold"]

PEOPLE = "people-bank/2"
TERMS = "term-bank/1"


@dataclass(frozen=True, slots=True)
class Added:
    """What an operator and a tenant keep in Postgres: people of the house, the tenant's terms, and their versions."""

    people: NameIndex | None = None
    terms: tuple[TermBank, ...] = ()
    versions: tuple[ModelVersion, ...] = ()


NOTHING_ADDED = Added()


class Banks:
    """The banks that ship with the house; `digest` is the sha256 of their files."""

    def __init__(self, terms: TermBank, people: NameIndex, digest: str) -> None:
        self._terms = terms
        self._people = people
        self.digest = digest
        self._is_english = vocabulary().__contains__
        self._kin = Kin.of(people)

    @classmethod
    def load(cls, now: datetime | None = None) -> Banks:
        """Reads the files; `now` tells who is history. ConfigurationError with file and line where one is malformed."""
        year = (now or datetime.now(UTC)).year
        terms = TermBank([*_terms(), *_exceptions()], TERMS)
        return cls(terms, NameIndex(shipped_people(), year, PEOPLE), _digest())

    def search(self, text: str, added: Added = NOTHING_ADDED) -> list[Hit]:
        """All whole-word matches in `text`, those that an exception of the tenant covers marked as excepted."""
        folded = fold_in_place(text)
        words = words_of(text, folded)
        own, exceptions = self._terms.search(folded, words)
        names = [hit for hit in self._names(text, words, added.people) if hit.entry.score > 0]
        hits = [hit for hit in except_inside([*own, *names], exceptions) if not hit.excepted]
        terms = [hit for hit in hits if hit.entry.source == TERMS]
        theirs: list[tuple[int, int]] = []
        for bank in added.terms:
            found, spans = bank.search(folded, words)
            terms += [hit for hit in except_inside(found, exceptions) if not hit.excepted]
            theirs += spans
        named = [hit for hit in hits if hit.entry.source != TERMS]
        return sorted([*named, *except_inside(terms, theirs)], key=lambda hit: (hit.start, -hit.end))

    def _names(self, text: str, words: Sequence[Word], more: NameIndex | None) -> list[Hit]:
        """The names of public figures, of overlapping ones the longest."""
        scene = Scene(text, words, self._kin)
        kept: list[Hit] = []
        for index in (self._people, more):
            if index is None:
                continue
            finds = list(index.exact(words, text, self._is_english))
            # A full name that is spelled right is settled; a surname may belong to a first name that is not.
            full = [find for find in finds if find.name.words > 1 and scene.score(find) > 0]
            open_ = [w for w in words if not any(f.words[0].start <= w.start <= f.words[-1].start for f in full)]
            doubtful = frozenset(word for word in open_ if scene.doubts(word) and not index.name(word.text))
            for run in _runs(words, open_):
                finds += index.misspelled(run, doubtful, self._kin.is_name)
            kept = _settled(scene, kept, finds, index.source)
        return kept


def _runs(words: Sequence[Word], told: Sequence[Word]) -> Iterator[list[Word]]:
    """The stretches of `words` that are in `told`."""
    wanted = set(told)
    run: list[Word] = []
    for word in words:
        if word in wanted:
            run.append(word)
        elif run:
            yield run
            run = []
    if run:
        yield run


def _settled(scene: Scene, kept: list[Hit], finds: Iterable[Find], source: str) -> list[Hit]:
    """`kept` and the hits of `finds` that do not overlap them."""
    hits = [
        Hit(Entry(find.name.category, scene.score(find), source), find.words[0].start, find.words[-1].end)
        for find in finds
    ]
    hits.sort(key=lambda hit: (hit.start, -hit.end, -hit.entry.score))
    free = [hit for hit in hits if all(hit.end <= other.start or other.end <= hit.start for other in kept)]
    return sorted([*kept, *longest(free)], key=lambda hit: hit.start)


def _data(name: str) -> str:
    return files(__package__).joinpath(f"data/{name}").read_text(encoding="utf-8")


def _lines(name: str) -> list[tuple[int, str]]:
    """The lines of a data file that say something, with their numbers."""
    lines = enumerate(_data(name).splitlines(), 1)
    return [(number, line.strip()) for number, line in lines if line.strip() and not line.startswith("#")]


def _terms() -> Iterator[Term]:
    """`term,category,score` a line."""
    lines = _lines("terms.csv")
    for (number, _), row in zip(lines, csv.reader(line for _, line in lines), strict=True):
        if len(row) != 3 or row[1] not in CATEGORIES or not re.fullmatch(r"0?\.\d+", row[2]):
            raise ConfigurationError(f"terms.csv line {number}: needs term, a known category, a score below 1")
        yield Term(row[0], "exact", row[1], float(row[2]))


def _exceptions() -> Iterator[Term]:
    """One phrase a line."""
    for _, line in _lines("exceptions.txt"):
        yield Term(line, "exception")


def _digest() -> str:
    folder = files(__package__).joinpath("data")
    sums = hashlib.sha256()
    for name in ("terms.csv", "exceptions.txt", "officials.txt", "name_context.txt"):
        sums.update(folder.joinpath(name).read_bytes())
    for file in sorted(folder.joinpath("people").iterdir(), key=lambda file: file.name):
        sums.update(file.read_bytes())
    return sums.hexdigest()
