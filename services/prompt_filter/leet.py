"""Letters behind digits and signs ("k1ll", "h4ck3r", "|-|@+3"), where letters surround them or a word comes out."""

from __future__ import annotations

import math
import re
from itertools import product

from services.prompt_filter.vocabulary import Vocabulary

_LETTERS = {
    "0": "o", "1": "il", "2": "z", "3": "e", "4": "a", "5": "s", "6": "gb", "7": "t", "8": "b", "9": "g", "@": "a",
    "$": "s", "!": "il", "+": "t", "|": "il", "(": "c", "<": "c",
}  # fmt: skip
# Signs that draw a letter together.
_DRAWN = [
    (re.escape(signs), letter)
    for signs, letter in (
        ("|\\/|", "m"), ("\\/\\/", "w"), ("|\\|", "n"), ("|-|", "h"), ("/\\", "a"), ("\\/", "v"), ("|<", "k"),
        ("|)", "d"), ("()", "o"), ("|_|", "u"), ("|=", "f"), ("|_", "l"), ("[]", "o"),
    )
]  # fmt: skip
_DRAWING = re.compile("|".join(signs for signs, _ in _DRAWN))
_DRAWN_AS = {re.sub(r"\\(.)", r"\1", signs): letter for signs, letter in _DRAWN}
_SIGN = re.compile(r"[0-9@$!+|(<]")
# "4k", "80s", "3rd", "35mm", "10am", "mp3", "F16", "ps5": digits that are digits.
_NUMBER = re.compile(
    r"\d+(?:st|nd|rd|th|s|d|k|x|p|g|m|f|mm|cm|km|in|ft|oz|lb|kg|mg|ml|am|pm|hz|px|fps|mp|gb|mb|tb|yo|yr|hr|min|sec)"
    r"|[a-z]{1,3}\d+|[a-z]+\d\d+|\d+|\d+-?[a-z]|\d\d+-?[a-z]\d*|\d[xv]\d",
    re.IGNORECASE,
)
# Colours, hashes and other names of machines.
_HEX = re.compile(r"[0-9a-f-]{6,}", re.IGNORECASE)
_SURROUNDED = re.compile(r"(?<=[A-Za-z])[0134578@$!+|]{1,3}(?=[A-Za-z])")
_MAX_READINGS = 16
_MAX_LENGTH = 64


def signs(word: str) -> bool:
    """A digit or sign that may be a letter is in `word`."""
    return _SIGN.search(word) is not None


def is_fluent(text: str, words: Vocabulary) -> bool:
    """Leet all over the text, so that its numbers may be words too ("4 m4n 1n bl00d")."""
    tokens = text.split()
    read_ = sum(
        1
        for token in tokens
        if signs(bare := token.strip(".,;:?!'\"")) and not bare.isdigit() and read(bare, words, split=False)
    )
    return read_ >= 2 and read_ * 5 >= len(tokens)


def read(word: str, words: Vocabulary, *, fluent: bool = False, split: bool = True) -> str | None:
    """What `word` says in letters, in its own case; None where it says nothing else than it shows.

    `fluent`: numbers count as letters too, where they make a word; `split`: several words are read in one.
    """
    if not signs(word) or (not fluent and _NUMBER.fullmatch(word)):
        return None
    bare = _DRAWING.sub(lambda drawing: _DRAWN_AS[drawing.group()], word)
    if not fluent and not (any(map(str.isalpha, bare)) or (len(bare) > 2 and set(bare) & set("@$"))):
        return None
    candidates = _candidates(bare)
    for candidate in candidates:
        if _is_word(candidate, word, words):
            return candidate
    letters = sum(letter.isalpha() for letter in word)
    # Several words in one, if it shows half of their letters.
    whole = split and letters * 2 >= len(word) > 4
    for candidate in dict.fromkeys((*candidates[:1], *candidates[-1:])) if whole else ():
        if candidate.isalpha() and (parts := words.split(candidate.lower())) and len(candidate) >= 3 * len(parts):
            return " ".join(parts)
    found = _SURROUNDED.sub(_first, word) if letters > 2 and not _HEX.fullmatch(word) else word
    return found if found != word else None


def _is_word(candidate: str, word: str, words: Vocabulary) -> bool:
    """A known word, which is not there already beside its digits ("cat5")."""
    lower = candidate.lower().removesuffix("'s")
    bare = word.strip("0123456789!+|(<").lower()
    return words.cost(lower) < math.inf and (bare not in words or len(bare) < 3)


def _candidates(word: str) -> list[str]:
    """Every reading of `word`, with the likeliest letters first, at most 16."""
    if len(word) > _MAX_LENGTH:
        return []
    choices = [_LETTERS.get(letter, letter) for letter in word]
    readings = 1
    for at, choice in enumerate(choices):
        if readings * len(choice) > _MAX_READINGS:
            choices[at] = choice[0]
        readings *= len(choices[at])
    return ["".join(letters) for letters in product(*choices)]


def _first(match: re.Match[str]) -> str:
    return "".join(_LETTERS[letter][0] for letter in match.group())
