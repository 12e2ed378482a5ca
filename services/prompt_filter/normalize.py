"""Makes a text readable for the filter and remembers where each letter came from.

Two forms are read. *plain*: NFKC and single blanks, no more than any reader does. *undressed*: what a person would read
through a disguise: invisible and combining marks gone, look-alike letters (Unicode UTS #39), leet between letters,
spelled-out words and stretched letters undone. Every pass is linear in the text.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import regex
from confusable_homoglyphs import confusables

from services.core.signals import TextForm, TextSpan

_BLANKS = re.compile(r"\s+")
# A letter and its marks, at most 30 at once (Unicode's stream-safe limit): ordering marks takes their square.
_CLUSTER = regex.compile(r"\P{M}\p{M}{0,30}|\p{M}{1,30}")
_NOT_ASCII = re.compile(r"[^\x00-\x7f]")
# Tags and emphasis marks that stand inside a word.
_MARKUP = re.compile(r"(?<=[A-Za-z])(?:</?[A-Za-z]{1,10}>|[*_~`|^]{1,3})+(?=[A-Za-z])")
# Single letters with one and the same separator between them: "k.i.l.l", "b l o o d".
_SPELLED = re.compile(r"(?<![^\W_])[A-Za-z0-9@$!](?:([ .\-_*/,])[A-Za-z0-9@$!'])(?:\1[A-Za-z0-9@$!'])+(?![^\W_])")
_LEET_WORD = re.compile(r"[A-Za-z0-9@$!+|]+")
_LEET_RUN = re.compile(r"(?:(?<=[A-Za-z])[0134578@$!+|]{1,3}(?=[A-Za-z])|(?<![A-Za-z0-9])[@$](?=[A-Za-z]))")
_LEET = str.maketrans("0134578@$!+|", "oieastbasitl")
_LEET_L = str.maketrans("0134578@$!+|", "oleastbasltl")
# "80s", "4k", "3rd": digits that are digits.
_NUMBER = re.compile(r"\d+[A-Za-z]{1,2}")
_EDGES, _EDGES_L = (str.maketrans("0134578@$", letters) for letters in ("oieastbas", "oleastbas"))
_STRETCHED = re.compile(r"([A-Za-z])\1{2,}")
_WORD = re.compile(r"[A-Za-z]+")
_MAX_ROUNDS = 4
_SHORT_WORD = 2
_LONGEST = 20
_WORD_COST = {1: 1.8, 2: 1.5, 3: 1.2}


@dataclass(frozen=True, slots=True)
class Form:
    """A reading of a text: character i of `text` stands for bytes `starts[i]`…`ends[i]` of the original's UTF-8."""

    name: TextForm
    text: str
    starts: Sequence[int]
    ends: Sequence[int]

    def span(self, start: int, end: int) -> TextSpan:
        """The bytes of the original behind characters `start`…`end` of this form, 0 ≤ start < end ≤ len(text)."""
        return TextSpan(min(self.starts[start:end]), max(self.ends[start:end]), self.name)

    def sub(self, pattern: re.Pattern[str] | regex.Pattern[str], replace: Callable[[str], str]) -> Form:
        """Replaces every match; all characters of a replacement stand for the whole match they came from."""
        text: list[str] = []
        starts: list[int] = []
        ends: list[int] = []
        done = 0
        for match in pattern.finditer(self.text):
            old, new = match.group(), replace(match.group())
            if old == new:
                continue
            begin, end = match.span()
            text += self.text[done:begin], new
            starts += self.starts[done:begin]
            ends += self.ends[done:begin]
            # Same length means letter for letter; anything else stands for the whole match.
            same = len(old) == len(new)
            starts += self.starts[begin:end] if same else [self.starts[begin]] * len(new)
            ends += self.ends[begin:end] if same else [self.ends[end - 1]] * len(new)
            done = end
        if not text:
            return self
        text.append(self.text[done:])
        starts += self.starts[done:]
        ends += self.ends[done:]
        return Form(self.name, "".join(text), starts, ends)


def plain(text: str) -> Form:
    """NFKC, control characters and runs of blanks as one blank; `text` must be valid Unicode without surrogates."""
    lengths = [len(letter.encode()) for letter in text]
    ends: list[int] = []
    total = 0
    for length in lengths:
        total += length
        ends.append(total)
    starts = [end - length for end, length in zip(ends, lengths, strict=True)]
    form = Form("original", text, starts, ends)
    if not text.isascii():
        form = form.sub(_CLUSTER, lambda cluster: unicodedata.normalize("NFKC", cluster))
    return _trim(form.sub(_BLANKS, lambda _: " "))


def undress(form: Form, words: frozenset[str]) -> Form:
    """What a person reads through disguises in `form`; `words` (lower case English) decide doubtful spellings."""
    form = Form("undressed", form.text, form.starts, form.ends)
    for _ in range(_MAX_ROUNDS):
        before = form.text
        if not form.text.isascii():
            form = form.sub(_NOT_ASCII, _ascii)
        form = form.sub(_MARKUP, lambda _: "")
        form = form.sub(_SPELLED, lambda spelled: _join(spelled, words))
        form = form.sub(_LEET_WORD, lambda word: _read_leet(word, words))
        form = form.sub(_WORD, lambda word: _shrink(word, words))
        form = _trim(form.sub(_BLANKS, lambda _: " "))
        if form.text == before:
            break
    return form


def _trim(form: Form) -> Form:
    """Without the blank at either end."""
    begin = len(form.text) - len(form.text.lstrip())
    end = len(form.text.rstrip())
    return Form(form.name, form.text[begin:end], form.starts[begin:end], form.ends[begin:end])


@lru_cache(maxsize=4096)
def _ascii(letter: str) -> str:
    """The Latin letter that `letter` is, hides or looks like; nothing for an invisible mark; else itself."""
    if unicodedata.category(letter) in ("Cf", "Mn", "Me", "Cc"):
        return ""
    code = ord(letter)
    if 0x1F1E6 <= code <= 0x1F1FF:  # regional indicators
        return chr(code - 0x1F1E6 + ord("a"))
    for first in (0x1F130, 0x1F150, 0x1F170):  # squared and circled capitals, which NFKC keeps
        if first <= code < first + 26:
            return chr(code - first + ord("A"))
    bare = "".join(mark for mark in unicodedata.normalize("NFKD", letter) if not unicodedata.combining(mark))
    if bare and bare.isascii():
        return bare
    found = confusables.is_confusable(bare, greedy=True, preferred_aliases=[]) if bare else None
    for entry in found if isinstance(found, list) else ():
        for glyph in entry["homoglyphs"]:
            if len(glyph["c"]) == 1 and glyph["c"].isascii() and glyph["c"].isalpha():
                return str(glyph["c"])
    return bare


def _join(spelled: str, words: frozenset[str]) -> str:
    """Words out of single letters, unless they are mostly digits ("2 0 1 0")."""
    letters = spelled[::2]
    if sum(letter.isalpha() for letter in letters) * 2 <= len(letters):
        return spelled
    return _split(_read_leet(letters, words), words)


def _split(letters: str, words: frozenset[str]) -> str:
    """Blanks between words that were spelled out as one run: the split into the fewest known words, if there is one."""
    lower = letters.lower()
    if lower in words:
        return letters
    # fewest[i] is the least cost of the first i letters and where its last word begins; short words cost more.
    fewest: list[tuple[float, int]] = [(0.0, 0)]
    for end in range(1, len(lower) + 1):
        known = (
            (fewest[begin][0] + _WORD_COST.get(end - begin, 1.0), begin)
            for begin in range(max(0, end - _LONGEST), end)
            if lower[begin:end] in words or lower[begin:end] == "a"
        )
        fewest.append(min(known, default=(math.inf, end)))
    if fewest[-1][0] == math.inf:
        return letters
    parts: list[str] = []
    end = len(lower)
    while end:
        begin = fewest[end][1]
        parts.append(letters[begin:end])
        end = begin
    return " ".join(reversed(parts))


def _read_leet(word: str, words: frozenset[str]) -> str:
    """Letters for the digits and signs between letters, and at the edges where that makes a word; 1 is an i or an l."""
    if word.isalpha() or not any(letter.isalpha() for letter in word):
        return word
    if not _NUMBER.fullmatch(word):
        for table in (_EDGES, _EDGES_L):
            if len(word) > _SHORT_WORD and (whole := word.translate(table)).lower() in words:
                return whole
    as_i = _LEET_RUN.sub(lambda run: run.group().translate(_LEET), word)
    as_l = _LEET_RUN.sub(lambda run: run.group().translate(_LEET_L), word)
    return as_l if as_l.lower() in words and as_i.lower() not in words else as_i


def _shrink(word: str, words: frozenset[str]) -> str:
    """Stretched letters back to two or one, whichever makes a word ("killlll", "bloooood")."""
    if word.lower() in words or not _STRETCHED.search(word):
        return word
    doubled = _STRETCHED.sub(r"\1\1", word)
    return doubled if doubled.lower() in words else _STRETCHED.sub(r"\1", word)
