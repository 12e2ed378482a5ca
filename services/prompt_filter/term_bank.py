"""A bank of terms: exact ones by Aho–Corasick, misspelled ones by symmetric deletes, patterns by RE2; whole words only.

RE2 runs in time linear in the text, whatever the pattern (Cox 2010); no other engine reads what a tenant writes.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import ahocorasick
import re2

from services.core.errors import InvalidInput
from services.core.store.terms import Term
from services.prompt_filter.fuzzy import Candidates, Spellings, corrections, everyday
from services.prompt_filter.words import Word, fold, spelled

MOST_PATTERNS = 200  # of one bank
_PATTERN_MEMORY = 1 << 20  # bytes; RE2's own bound on what a pattern may compile to


@dataclass(frozen=True, slots=True)
class Entry:
    """What a match means: `category` and `score` 0…1 of the signal, `source` the bank."""

    category: str
    score: float
    source: str


@dataclass(frozen=True, slots=True)
class Hit:
    """An entry at characters `start`…`end` of the text that was searched; `excepted` where an exception covers it."""

    entry: Entry
    start: int
    end: int
    excepted: bool = False


class TermBank:
    """Terms ready for search; thread-safe."""

    def __init__(self, terms: Iterable[Term], source: str) -> None:
        """`source` names the bank in signals; raises InvalidInput where a pattern is refused."""
        self._source = source
        self._automaton = ahocorasick.Automaton()
        self._fuzzy: dict[str, Term] = {}
        self._patterns: list[tuple[Any, Term]] = []
        parts: set[str] = set()
        exact: dict[str, list[Term]] = {}
        for term in terms:
            if term.kind == "re2":
                self._patterns.append((compile_pattern(term.term), term))
                continue
            exact.setdefault(fold(term.term), []).append(term)
            if term.kind == "fuzzy":
                self._fuzzy["".join(spelled(term.term))] = term
                parts.update(spelled(term.term))
        for text, same in exact.items():
            self._automaton.add_word(text, (len(text), same))
        if exact:
            self._automaton.make_automaton()
        self._empty = not exact
        self._parts = parts
        self._sizes = sorted({len(spelled(term.term)) for term in self._fuzzy.values()})
        self._spellings = Spellings(sorted(parts))

    def search(self, folded: str, words: Sequence[Word]) -> tuple[list[Hit], list[tuple[int, int]]]:
        """The hits in a folded text with these words, the longest of overlapping ones; and where exceptions stand."""
        found: list[tuple[int, int, Term]] = [*self._exact(folded), *self._misspelled(words), *self._matches(folded)]
        exceptions = [(start, end) for start, end, term in found if term.kind == "exception"]
        hits = [
            Hit(Entry(term.category, term.score, self._source), start, end)
            for start, end, term in sorted(found, key=lambda place: (place[0], -place[1], -place[2].score))
            if term.kind != "exception" and _in_context(term, words, start, end)
        ]
        return longest(hits), exceptions

    def _exact(self, folded: str) -> Iterator[tuple[int, int, Term]]:
        if self._empty:
            return
        for last, (length, same) in self._automaton.iter(folded):
            start, end = last - length + 1, last + 1
            if not (_in_word(folded, start - 1) or _in_word(folded, end)):
                for term in same:
                    yield start, end, term

    def _misspelled(self, words: Sequence[Word]) -> Iterator[tuple[int, int, Term]]:
        if not self._fuzzy:
            return
        candidates: list[Candidates] = []
        for word in words:
            options: Candidates = [(word.text, 0)] if word.text in self._parts else []
            candidates.append(options if everyday(word.text) else [*options, *self._spellings.near(word.text)])
        for first, run, edits in corrections(candidates, self._sizes, 2):
            if (term := self._fuzzy.get("".join(run))) is not None and edits <= term.distance:
                yield words[first].start, words[first + len(run) - 1].end, term

    def _matches(self, folded: str) -> Iterator[tuple[int, int, Term]]:
        for pattern, term in self._patterns:
            for match in pattern.finditer(folded):
                if match.end() > match.start():
                    yield match.start(), match.end(), term


def compile_pattern(pattern: str) -> Any:
    """A pattern in RE2's language, whole words, cases alike; InvalidInput where RE2 refuses it or it is empty."""
    options = re2.Options()
    options.case_sensitive = False
    options.max_mem = _PATTERN_MEMORY
    options.log_errors = False
    try:
        re2.compile(pattern, options=options)  # alone first: ")(" must not become valid between the brackets
        compiled = re2.compile(rf"\b(?:{pattern})\b", options=options)
    except (re2.error, UnicodeError) as error:
        raise InvalidInput("term", f"is no pattern that RE2 accepts: {_reason(error)}") from None
    if compiled.search("a b") is not None and compiled.search("a b").end() == compiled.search("a b").start():
        raise InvalidInput("term", "matches the empty text")
    return compiled


def longest(hits: Iterable[Hit]) -> list[Hit]:
    """Of hits sorted by start and falling end, those that overlap none before them."""
    kept: list[Hit] = []
    for hit in hits:
        if not kept or hit.start >= kept[-1].end:
            kept.append(hit)
    return kept


def except_inside(hits: Iterable[Hit], spans: Sequence[tuple[int, int]]) -> list[Hit]:
    """The hits, those that lie inside one of `spans` marked as excepted."""
    return [
        replace(hit, excepted=True) if any(start <= hit.start and hit.end <= end for start, end in spans) else hit
        for hit in hits
    ]


def _reason(error: Exception) -> str:
    told = error.args[0] if error.args else error
    return told.decode("utf-8", "replace") if isinstance(told, bytes) else str(told)


def _in_word(text: str, at: int) -> bool:
    return 0 <= at < len(text) and text[at].isalnum()


def _in_context(term: Term, words: Sequence[Word], start: int, end: int) -> bool:
    """Whether the words around a match are as its term demands."""
    if not (term.near or term.not_near):
        return True
    first = bisect_left(words, start, key=lambda word: word.start)
    behind = bisect_right(words, end - 1, key=lambda word: word.start)
    around = {
        word.text for word in (*words[max(0, first - term.within) : first], *words[behind : behind + term.within])
    }
    return (not term.near or not around.isdisjoint(term.near)) and around.isdisjoint(term.not_near)
