"""A text as its words: folded to lower case without accents, each with its place."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

# A word ends before a possessive: "Obama's" is "obama", "O'Neal" stays whole.
_WORD = re.compile(r"[^\W_]+(?:'(?!s(?![^\W_]))[^\W_]+)*")
_POSSESSIVE = re.compile(r"'s(?![^\W_])")


# Letters with a stroke have no accent that could be taken off.
_STROKES = str.maketrans("øłđħŧıØŁĐĦŦ", "oldhtioldht")


@dataclass(frozen=True, slots=True)
class Word:
    """A word without apostrophes at characters `start`…`end` of its text; `tagged` behind a # or an @."""

    text: str
    start: int
    end: int
    capital: bool
    possessive: bool
    tagged: bool = False

    @property
    def uncased(self) -> bool:
        """Whether its script has no capitals, so that none can be missed."""
        return self.text.upper() == self.text and not self.text.isascii()


def fold(text: str) -> str:
    """Lower case without accents, a hyphen like a blank."""
    if not text.isascii():
        decomposed = unicodedata.normalize("NFD", text)
        bare = "".join(mark for mark in decomposed if not unicodedata.combining(mark)).translate(_STROKES)
        text = unicodedata.normalize("NFC", bare)
    return text.lower().replace("-", " ").replace("’", "'")


def fold_in_place(text: str) -> str:
    """`fold` that keeps every character at its place: what would fold to none or several becomes a "?"."""
    folded = fold(text)
    if len(folded) == len(text):
        return folded
    return "".join(letter if len(letter) == 1 else "?" for letter in map(fold, text))


def words_of(text: str, folded: str) -> list[Word]:
    """The words of `text`, whose `fold_in_place` is `folded`, in order."""
    return [
        Word(
            match.group().replace("'", ""),
            match.start(),
            match.end(),
            text[match.start()].isupper(),
            bool(_POSSESSIVE.match(folded, match.end())),
            text[match.start() - 1 : match.start()] in ("#", "@"),
        )
        for match in _WORD.finditer(folded)
    ]


def spelled(name: str) -> list[str]:
    """The words of an entry, as `words_of` would find them in a text."""
    return [match.group().replace("'", "") for match in _WORD.finditer(fold(name))]
