"""Whether a name means the public person: hints nearby, capitals in a text that has some, and the words next to it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from services.prompt_filter.makers import Credit, Sentence
from services.prompt_filter.name_index import Find, NameIndex
from services.prompt_filter.vocabulary import vocabulary
from services.prompt_filter.word_lists import lists
from services.prompt_filter.words import Word

# Words on either side among which a hint may stand.
_REACH = 10
# Full names are all but certain; a single word is a little less so; what may be, goes to a person.
# A text of so few words has no small letters to tell.
_FEW = 4
# The commonest 8,000 English words are no first names, whoever is called so.
_COMMON = math.log(10 + 8_000)
# Behind "a", a name of these 12,000 is a thing.
_WELL_KNOWN = math.log(10 + 12_000)
# The commonest 3,000 are no slips of the pen, capital or not.
_PLAIN = math.log(10 + 3_000)
# Who is named as the maker or for a style need not be in the picture.
_ONE_WORD, _POSSIBLE, _MISSPELLED, CREDITED = 0.85, 0.5, 0.9, 0.25


@dataclass(frozen=True, slots=True)
class Kin:
    """First names and surnames that many people bear: beside one of these, a single word names somebody else."""

    first: frozenset[str]
    surname: frozenset[str]

    @classmethod
    def of(cls, index: NameIndex) -> Kin:
        """The common names of data/name_context.txt, and those of all public figures that are no common words."""
        known, borne = lists(), vocabulary()
        first = {name for name in index.given if borne.cost(name) > _COMMON} - known["title"] - known["article"]
        return cls(
            known["first"] | {name for name in first if len(name) > 2},
            known["surname"] | {name for name in index.surnames if borne.cost(name) > _COMMON},
        )

    def is_name(self, word: str) -> bool:
        """Whether a word is a name that many bear."""
        known = lists()
        return word in known["first"] or word in known["surname"]


class Scene:
    """A text around its names: which of its capitals say something."""

    def __init__(self, text: str, words: Sequence[Word], kin: Kin) -> None:
        self._kin = kin
        self._text = text
        self._words = words
        self._place = {word.start: number for number, word in enumerate(words)}
        self._texts = [word.text for word in words]
        small = sum(text[word.start].islower() for word in words)
        inside = [w for number, w in enumerate(words) if w.capital and number and not self._opens(number)]
        # Where every word has a capital, or only sentences have, a name's capital tells nothing.
        self.cased = bool(inside) and small * 4 > len(inside)

    def _opens(self, number: int) -> bool:
        """Whether a sentence begins with this word."""
        return number == 0 or self._gap(number - 1).strip()[:1] in set('.!?:;"(')

    def _gap(self, number: int) -> str:
        """What stands between a word and the next."""
        behind = self._words[number + 1].start if number + 1 < len(self._words) else len(self._text)
        return self._text[self._words[number].end : behind]

    def capital(self, word: Word) -> bool:
        """Whether a word's capital says that it is a name."""
        return self.cased and word.capital

    def doubts(self, word: Word) -> bool:
        """Whether a word with a capital may be a misspelled name although it is English ("Tailor Swift")."""
        alone = len(self._words) <= _FEW
        plain = vocabulary().cost(word.text) < _PLAIN
        return word.capital and (self.cased or alone) and not plain and not self._kin.is_name(word.text)

    def score(self, find: Find) -> float:
        """How surely the name that was found means the public person, 0…1."""
        first, last = self._place[find.words[0].start], self._place[find.words[-1].start]
        score = (self._lone if find.name.words == 1 else self._full)(find, first, last)
        if not find.whole and find.name.hints and not all(map(self.capital, find.words)):
            score = 0.0
        if find.edits:
            score = min(score, _POSSIBLE if find.doubted or find.name.words == 1 else _MISSPELLED)
        if find.swapped and find.name.hints and not all(map(self.capital, find.words)):
            score = 0.0
        # A maker whose name many people bear is somebody else.
        if (find.name.maker or find.name.hints) and self._is_credit(find, first, last):
            score = min(score, CREDITED)
        return min(score, find.name.score)

    def _full(self, find: Find, first: int, last: int) -> float:
        """A name of several words."""
        if find.words[0].text in ("a", "the") and not find.words[0].capital and self._gap(first) == " ":
            return _POSSIBLE if self._hinted(find, first, last) else 0.0
        if not find.name.hints:
            if self._before(first) in ("a", "an") and self._plain(find, _WELL_KNOWN):  # "a bad bunny"
                return 0.0
            return _POSSIBLE if self._is_place(last) else 1.0
        if self._hinted(find, first, last):
            return 1.0
        if self._is_place(last):
            return 0.0
        if not self.cased:
            return 0.0 if self._plain(find, _COMMON) else _POSSIBLE  # "black coffee"
        return _MISSPELLED if all(map(self.capital, find.words)) else 0.0

    def _plain(self, find: Find, rarest: float) -> bool:
        """Whether a name is words of everyday in small letters, and has no first name as "chris rock" has."""
        words = [word.text for word in find.words]
        small = not any(map(self.capital, find.words)) and words[0] not in lists()["first"]
        return small and all(vocabulary().cost(word) < rarest for word in words)

    def _lone(self, find: Find, first: int, last: int) -> float:
        """A name of one word."""
        word, before, after = find.words[0], self._before(first), self._after(last)
        known = lists()
        told = before in known["title"] or self._hinted(find, first, last)
        if not told and (self._is_place(last) or (find.name.hints and before in known["before"])):
            return 0.0
        if before in self._kin.first and (not self.cased or self._words[first - 1].capital):
            return 0.0
        if (
            word.text in self._kin.first
            and after
            and (self.capital(self._words[last + 1]) or after in self._kin.surname)
        ):
            return 0.0
        if not find.whole and not self.capital(word):
            return 0.0
        if told:
            return _MISSPELLED
        if word.uncased:
            return _ONE_WORD
        if before in known["article"] and not self.capital(word):
            return 0.0 if find.name.hints or before in ("a", "an") else _ONE_WORD
        if not find.name.hints and word.text not in known["first"]:
            return _ONE_WORD
        speaks = self.capital(word) and not self._opens(first) and word.text not in known["first"]
        if (before and self._words[first - 1].capital) or (after and self._words[last + 1].capital):
            return 0.0  # "Rube Goldberg" is not the wrestler
        return _POSSIBLE if speaks else 0.0

    def _before(self, first: int) -> str:
        """The word next before, with nothing but blanks between; empty where there is none."""
        return self._texts[first - 1] if first and not self._gap(first - 1).strip(" -") else ""

    def _after(self, last: int) -> str:
        """The word next behind, with nothing but blanks between; empty where there is none."""
        return self._texts[last + 1] if last + 1 < len(self._texts) and not self._gap(last).strip(" -") else ""

    def _is_place(self, last: int) -> bool:
        return self._after(last) in lists()["after"]

    def _is_credit(self, find: Find, first: int, last: int) -> bool:
        """Whether a name stands for who made the picture, and not for who is in it."""
        sentence = Sentence(self._texts, self._gap)
        credit = sentence.credit(first, last, find.name.artist)
        listed = find.name.artist or credit is Credit.LISTED
        return credit is Credit.PLAIN or (listed and not sentence.depicts(first, last))

    def _hinted(self, find: Find, first: int, last: int) -> bool:
        near = " ".join([*self._texts[max(0, first - _REACH) : first], "", *self._texts[last + 1 : last + 1 + _REACH]])
        padded = f" {near} "
        return any(f" {hint} " in padded or f" {hint}s " in padded for hint in find.name.hints)
