"""Finds names of people in a text: Aho–Corasick over its words without blanks, and misspellings by symmetric deletes.

A name is found as whole words, however they are joined or parted: "JK Rowling", "J. K. Rowling", "#jkrowling"; with
the surname first, "Trump, Donald"; with an initial put in, "Barack H. Obama". Whether the person is meant is decided
elsewhere (context.py).
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from dataclasses import dataclass

import ahocorasick

from services.prompt_filter.fuzzy import Candidates, Spellings, corrections, everyday
from services.prompt_filter.people import HISTORICAL, PUBLIC_FIGURE, Person
from services.prompt_filter.vocabulary import vocabulary
from services.prompt_filter.words import Word, spelled

WordTest = Callable[[str], bool]

_LONG_ENOUGH = 4  # letters of a name that may stand inside a handle with digits: "@trump2024"
_LONE_WORD = 6  # letters of a name of one word that is looked for misspelled
_RARE = 5  # letters of a word that may vouch for its neighbour
_MOST_WORDS = 7
_LONGEST = 100  # letters; no name is longer
_SHORT_NAME = 10  # letters up to which a name forgives one edit in all


@dataclass(frozen=True, slots=True)
class Name:
    """What a spelling stands for: `category` and at most `score` 0…1; how many `words` it has; where it has `hints` it
    may mean something else, and one of them should stand nearby; `maker` and `artist` as in `Person`.
    """

    category: str
    score: float
    words: int
    hints: frozenset[str]
    maker: bool = False
    artist: bool = False


@dataclass(frozen=True, slots=True)
class Find:
    """A name at `words` of a text, in the text's order, with `edits` misspellings.

    `whole` unless a plural s follows; `swapped` where the surname stands first; `doubted` where a word that was changed
    may be meant as it stands.
    """

    name: Name
    words: tuple[Word, ...]
    edits: int = 0
    whole: bool = True
    swapped: bool = False
    doubted: bool = False


class NameIndex:
    """Names ready for search; thread-safe. The first of several people of one name counts.

    `given` and `surnames` are the first and last words of all names of several words.
    """

    def __init__(self, people: Iterable[Person], year: int, source: str, edits: int = 2) -> None:
        """`year` is today's, and tells who is history; `source` names the bank in signals; `edits` caps the
        misspellings of a word, 1 or 2.
        """
        self.source = source
        self._automaton = ahocorasick.Automaton(ahocorasick.STORE_INTS)
        self._names: list[Name] = []  # each once: hundreds of thousands of people share a few
        self._which = array("I")
        self._lengths = array("H")
        self._parts: set[str] = set()
        self.given: set[str] = set()
        self.surnames: set[str] = set()
        known: dict[Name, int] = {}
        for person in people:
            category = HISTORICAL if person.historical(year) else PUBLIC_FIGURE
            for number, spelling in enumerate((person.name, *person.aliases)):
                words = spelled(spelling)
                key = "".join(words)
                if not 0 < len(key) <= _LONGEST or key in self._automaton:
                    continue
                self._automaton.add_word(key, len(self._which))
                # Hints are for the name and for other names of one word (the gazetteer's README).
                hints = person.hints if number == 0 or len(words) == 1 else frozenset[str]()
                name = Name(category, person.score, len(words), hints, person.maker, person.artist)
                if name not in known:
                    known[name] = len(self._names)
                    self._names.append(name)
                if len(words) > 1:
                    self.given.add(words[0])
                    self.surnames.add(words[-1])
                self._which.append(known[name])
                self._lengths.append(len(key))
                self._parts.update(words if len(words) > 1 else [word for word in words if len(word) >= _LONE_WORD])
        self._automaton.make_automaton()
        self._spellings = Spellings(sorted(self._parts), edits)

    def __len__(self) -> int:
        return len(self._which)

    def name(self, key: str) -> Name | None:
        """The name whose words, joined, are `key`."""
        number = self._automaton.get(key, -1)
        return self._names[self._which[number]] if number >= 0 else None

    def exact(self, words: Sequence[Word], text: str, ordinary: WordTest) -> Iterator[Find]:
        """Every name spelled right in `text`, whose words are `words`; `ordinary` English words join nothing."""
        yield from self._search(words, ordinary)
        shorter = [word for word in words if not _is_initial(word, text)]
        if len(shorter) < len(words):
            yield from self._search(shorter, ordinary)
        for at in range(1, len(words)):
            listed = words[at - 1].capital and at > 1 and words[at - 2].capital  # "…, Hugh Trump, Donald Roe, …"
            if text[words[at - 1].end : words[at].start].strip() == "," and not listed:
                for run in (words[at : at + 1], words[at : at + 2]):
                    for find in self._search([*run, words[at - 1]], ordinary):
                        if len(find.words) == len(run) + 1:
                            yield Find(find.name, (words[at - 1], *run), swapped=True)

    def _search(self, words: Sequence[Word], ordinary: WordTest) -> Iterator[Find]:
        """Names whose ends are ends of words in the run of `words`."""
        if not self._which:  # an automaton of nothing cannot search
            return
        firsts: dict[int, int] = {}
        lasts: dict[int, tuple[int, bool]] = {}
        at = 0
        for number, word in enumerate(words):
            firsts[at] = number
            at += len(word.text)
            lasts[at] = number, True
            plural = word.text.endswith("s")
            stem = word.text[:-1] if plural else word.text.rstrip("0123456789")
            if _LONG_ENOUGH <= len(stem) < len(word.text):
                lasts.setdefault(at - len(word.text) + len(stem), (number, not plural))
        for end, number in self._automaton.iter("".join([word.text for word in words])):
            if (last := lasts.get(end + 1)) is None or (first := firsts.get(end + 1 - self._lengths[number])) is None:
                continue
            name, found = self._names[self._which[number]], tuple(words[first : last[0] + 1])
            if _parted_well(name, found, ordinary):
                yield Find(name, found, whole=last[1])

    def misspelled(self, words: Sequence[Word], doubtful: Container[Word], given: WordTest) -> Iterator[Find]:
        """Names that `words` nearly spell.

        Everyday words and given names (of other people) were meant as they are spelled, unless they are `doubtful`, or
        stand beside a rare word of a name: then the find is `doubted`.
        """
        rare = [self._is_rare(word, given) for word in words]
        candidates: list[Candidates] = []
        meant = []
        for number, word in enumerate(words):
            text = word.text
            options: Candidates = [(text, 0)] if text in self._parts or len(text) == 1 else []
            meant.append(everyday(text) or given(text))
            beside_rare = any(rare[max(0, number - 1) : number]) or any(rare[number + 1 : number + 2])
            if text.isalpha() and (not meant[-1] or beside_rare or word in doubtful):
                options += self._spellings.near(text)
            candidates.append(options)
        for first, run, edits in corrections(candidates, range(1, _MOST_WORDS + 1), 2):
            name = self.name("".join(run))
            if name is None or name.words != len(run) or (edits > 1 and sum(map(len, run)) < _SHORT_NAME):
                continue
            found = tuple(words[first : first + len(run)])
            wrong = [n for n, (word, right) in enumerate(zip(found, run, strict=True)) if word.text != right]
            doubted = any(meant[first + n] and found[n] not in doubtful for n in wrong)
            lone = edits == 1 and found[0].text[0] == run[0][0] and found[0].text not in vocabulary()
            if name.words > 1 or (lone and not meant[first]):
                yield Find(name, found, edits, doubted=doubted)

    def _is_rare(self, word: Word, given: WordTest) -> bool:
        """A word of a name that hardly stands in another text."""
        text = word.text
        return len(text) >= _RARE and text in self._parts and not everyday(text) and not given(text)


def _is_initial(word: Word, text: str) -> bool:
    """A middle "J." or "J": a capital of its own, or with a dot; not "a" and "I"."""
    return len(word.text) == 1 and (text[word.end : word.end + 1] == "." or (word.capital and word.text not in "ai"))


def _parted_well(name: Name, words: Sequence[Word], ordinary: WordTest) -> bool:
    """Whether a name that was found without regard to blanks stands there with blanks where they may be."""
    if len(words) == name.words:
        return True
    if len(words) < name.words:  # "donaldtrump", but not "therapist"
        return len(words) > 1 or words[0].tagged or not ordinary(words[0].text)
    letters = sum(len(word.text) == 1 for word in words)
    if name.words > 1:  # "J. K. Rowling", "Kim Jong-un"
        return True
    initial = len(words[0].text) == 1 and words[0].text not in "ai" and math.isinf(vocabulary().cost(words[1].text))
    return letters == len(words) or (letters == 1 and initial)  # "J Lo", but not "s by"
