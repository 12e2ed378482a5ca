"""Words as they were meant: spelled out, cut, joined, stretched, masked with stars, written backwards or in rot13."""

from __future__ import annotations

import codecs
import math
import re
from collections.abc import Iterable, Iterator

from services.prompt_filter import leet
from services.prompt_filter.form import Edit
from services.prompt_filter.vocabulary import Vocabulary

_TOKEN = re.compile(r"\S+")
# What stands around a word and is no part of it; "@" and "$" in front may be letters.
_CORE = re.compile(r"[A-Za-z0-9@$|!(](?:\S*[A-Za-z0-9@$|*+])?")
_PLAIN = re.compile(r"[A-Za-z]+(?:['’][A-Za-z]{1,2})?|[\d.,:/x%-]+")
_PARTS = re.compile(r"[A-Za-z]+")
# A run of letters that nothing but a quotation mark, a bracket or the end of a phrase touches.
_PIECE = re.compile(r"(?<![^\s\"(\[])[A-Za-z]+(?![^\s,.;:!?\")\]])")
_WHOLE = re.compile(r"(?<![^\W_])[A-Za-z]+(?![^\W_])")
# Single letters with one and the same separator between them: "k.i.l.l", "b l o o d", "k - i - l - l".
_SPELLED = re.compile(
    r"(?<![^\s\"'(\[])[A-Za-z0-9@$!](?:([ .\-_*/,|~+:;=>'\"\\]{1,3})[A-Za-z0-9@$!])"
    r"(?:\1[A-Za-z0-9@$!'])+(?![^\s,.;:!?\"')\]])"
    r"|(?:[(\[{][A-Za-z0-9@$!][)\]}] ?){3,}"
)
_ADDRESS = re.compile(r"://|www\.|\w@\w+\.\w")
_STRETCHED = re.compile(r"([A-Za-z])\1+")
_DOUBLED = re.compile(r"(?:([A-Za-z])\1){3,}")
_TRIPLE = re.compile(r"([A-Za-z])\1{2,}")
# What stands before a hyphen by custom: "t-shirt", "x-ray", "sci-fi".
_CUSTOMARY = re.compile(
    r"(?:sci|lo|hi|wi|re|co|un|pre|non)-[A-Za-z]+|[aeotuvxkdbjgAEOTUVXKDBJG]-[A-Za-z]{3,}|[A-Za-z]{3,}-[A-Za-z]",
    re.IGNORECASE,
)
_SHORTEST = 4  # letters of a word that is read backwards, out of rot13 or out of two pieces
_JOINED = 7  # letters of a run that is read as several words
_JOIN = 3.0  # what a join costs beside the words' rarity
_MOST_PIECES = 3
_LONG = 18  # letters of a run that may hold rarer words
_COMMON = 9.0  # the cost of a word that is among the 8,000 commonest
_PIECES = 3.0  # letters that its words have on average at least
_MOST, _FEW = 0.7, 0.5  # the share of known words in English, and in what is none


def share(text: str, words: Vocabulary) -> float:
    """How much of the letters and digits of `text` stands in known words, 0…1."""
    known = sum(len(run) for run in _WHOLE.findall(text) if words.cost(run.lower()) < math.inf)
    return known / max(1, sum(map(str.isalnum, text)))


def reads_better(text: str, read: str, words: Vocabulary) -> bool:
    """`read`, another reading of the whole `text`, is English, and `text` is none, not even where words stand alone."""
    before = share(text, words)
    if before > _FEW:
        return False
    after = share(read, words)
    return after >= _MOST and any(len(run) >= _SHORTEST for run in _WHOLE.findall(read)) and after > before


def rotated(text: str, words: Vocabulary) -> Iterator[Edit]:
    """The whole text out of rot13, where that makes it English."""
    read = codecs.encode(text, "rot13")
    if not reads_better(text, read, words):
        return
    # Where some words stand as they are, the others are read one by one.
    old, new = _WHOLE.findall(text), _WHOLE.findall(read)
    kept = sum(len(a) for a, b in zip(old, new, strict=True) if words.cost(a.lower()) < words.cost(b.lower()))
    if kept * 5 < sum(map(len, old)):
        yield Edit(0, len(text), read, range(len(text)))


def joined(text: str, words: Vocabulary) -> Iterator[Edit]:
    """Words out of single letters, unless they are mostly digits ("2 0 1 0")."""
    for match in _SPELLED.finditer(text):
        run = match.group()
        places = [at for at, letter in enumerate(run, match.start()) if letter.isalnum() or letter in "@$!"]
        letters = "".join(text[at] for at in places)
        if sum(letter.isalpha() for letter in letters) * 2 <= len(letters):
            continue
        read = leet.read(letters, words, fluent=True) or letters
        if len(read) != len(letters):
            yield Edit(match.start(), match.end(), read)
            continue
        stretched = _known(read, words)
        parts = words.split(read.lower()) or ([stretched] if stretched else None)
        if parts is None and len(read) < _JOINED - 1:
            continue
        yield _spaced(match.start(), match.end(), read, parts or [read], places)


def respelled(text: str, words: Vocabulary) -> Iterator[Edit]:
    """Each unknown word by what it was meant to be, where that can be told."""
    fluent = leet.is_fluent(text, words)
    for token in _TOKEN.finditer(text):
        if not fluent and _is_known(token.group(), words):
            continue
        core = _CORE.search(token.group())
        if core is None or not core.group().isascii() or _ADDRESS.search(token.group()):
            continue
        word, start = core.group(), token.start() + core.start()
        if fluent and (read := leet.read(word, words, fluent=True)):
            everything = range(start, start + len(word))
            yield Edit(start, start + len(word), read, everything if len(read) == len(word) else None)
        elif not _is_known(word, words):
            yield from _read(word, start, words)


def mended(text: str, words: Vocabulary) -> Iterator[Edit]:
    """Words cut in pieces by blanks ("na ked", "k ill"), where one of the pieces is no word.

    Of all ways to join neighbours the cheapest by the words' rarity, so that "a mo b" is "a mob" and not "amo b".
    """
    row: list[re.Match[str]] = []
    for piece in _PIECE.finditer(text):
        if row and text[row[-1].end() : piece.start()] != " ":
            yield from _joins(row, words)
            row = []
        row.append(piece)
    yield from _joins(row, words)


def _joins(row: list[re.Match[str]], words: Vocabulary) -> Iterator[Edit]:
    """The edits for pieces with one blank between each two."""
    texts = [piece.group() for piece in row]
    is_word = [words.cost(text.lower()) < math.inf for text in texts]
    if len(row) < 2 or all(is_word):
        return
    costs = [words.piece_cost(text.lower()) for text in texts]
    best = [(0.0, 0)]
    for end in range(1, len(row) + 1):
        found = (best[-1][0] + costs[end - 1], end - 1)
        for begin in range(max(0, end - _MOST_PIECES), end - 1):
            pieces = texts[begin:end]
            # "TV" and "hq" are no pieces of words, "K" is.
            if all(is_word[begin:end]) or any(text.isupper() and len(text) > 1 for text in pieces):
                continue
            whole = "".join(pieces).lower()
            if len(whole) > 2:
                found = min(found, (best[begin][0] + words.cost(whole) + _JOIN, begin))
        best.append(found)
    end, joins = len(row), []
    while end:
        begin = best[end][1]
        if end - begin > 1:
            joins.append(row[begin:end])
        end = begin
    for cut in reversed(joins):
        source = [place for piece in cut for place in range(*piece.span())]
        yield Edit(cut[0].start(), cut[-1].end(), "".join(piece.group() for piece in cut), source)


def _is_known(token: str, words: Vocabulary) -> bool:
    """Nothing to read: a word or a number as it stands."""
    lower = token.lower()
    if words.is_common(lower) or (lower in words and not _TRIPLE.search(lower)):
        return True
    return _PLAIN.fullmatch(token) is not None and (not token[0].isalpha() or lower.split("'")[0] in words)


def _read(word: str, start: int, words: Vocabulary) -> Iterator[Edit]:
    """The edits that make `word`, which begins at `start`, readable."""
    end, everything = start + len(word), range(start, start + len(word))
    parts = _PARTS.findall(word)
    if word.isalpha():
        yield from _read_letters(word, start, words)
    elif "_" in word and 2 * sum(part.lower() in words for part in parts) > len(parts):
        yield Edit(start, end, word.replace("_", " "), everything, disguise=False)
    elif _is_compound(word, parts, words):
        return
    elif read := words.unmasked(word.lower()):
        yield Edit(start, end, read)
    elif read := leet.read(word, words):
        yield Edit(start, end, read, everything if len(read) == len(word) else None)
    else:
        bare = "".join(parts)
        if leet.signs(word) or len(bare) < _SHORTEST - 1:
            return
        if found := _known(bare, words):
            yield Edit(start, end, found)
            return
        for part in _PARTS.finditer(word):
            if part.group().lower() not in words and len(part.group()) >= _JOINED:
                yield from _read_letters(part.group(), start + part.start(), words)


def _is_compound(word: str, parts: list[str], words: Vocabulary) -> bool:
    """Known words side by side ("state-of-the-art", "red/blue"), or one with a letter ("t-shirt")."""
    if leet.signs(word):
        return False
    known = [part for part in parts if len(part) > 1 and words.cost(part.lower()) < math.inf]
    return len(known) == len(parts) or (_CUSTOMARY.fullmatch(word) is not None and any(len(part) > 2 for part in known))


def _read_letters(word: str, start: int, words: Vocabulary) -> Iterator[Edit]:
    """A word of letters alone that is no known one."""
    end = start + len(word)
    if found := _known(word, words):
        yield Edit(start, end, found, None, disguise=False)  # stretched: how people stress a word
        return
    if len(word) >= _SHORTEST:
        for read, source in ((word[::-1], None), (codecs.encode(word, "rot13"), range(start, end))):
            if words.cost(read.lower()) < math.inf:
                yield Edit(start, end, read, source)
                return
    if parts := _pieces(word, words):
        yield _spaced(start, end, word, parts, range(start, end))
    elif _TRIPLE.search(word):
        yield Edit(start, end, _TRIPLE.sub(r"\1", word), None, disguise=False)


def _known(word: str, words: Vocabulary) -> str | None:
    """`word`, or what it is without stretching ("killlll", "bloooood", "nnaakkeedd"), if that is a known word."""
    if word.lower() in words:
        return word
    if not _STRETCHED.search(word):
        return None
    if _TRIPLE.search(word):
        readings = [_TRIPLE.sub(r"\1\1", word), _TRIPLE.sub(r"\1", word), _STRETCHED.sub(r"\1", word)]
    else:
        readings = [word[::2]] if _DOUBLED.fullmatch(word) else []
    return next((read for read in readings if words.cost(read.lower()) < math.inf and len(read) > 2), None)


def _pieces(letters: str, words: Vocabulary) -> list[str] | None:
    """The known words that `letters` joins, where they are no accident."""
    if len(letters) < _JOINED:
        return None
    parts = words.split(letters.lower())
    if parts is None or len(letters) < _PIECES * len(parts) or (len(parts) == 2 and min(map(len, parts)) < 3):
        return None
    # A name or a rare word splits by accident; a long run of words hardly ever.
    return parts if len(letters) >= _LONG or all(words.cost(part) < _COMMON for part in parts) else None


def _spaced(start: int, end: int, letters: str, parts: Iterable[str], places: Iterable[int]) -> Edit:
    """`letters`, which stand at `places`, with blanks between `parts`; one that fits no place stands for all."""
    row = [*parts]
    if sum(map(len, row)) != len(letters):
        return Edit(start, end, " ".join(row))
    text: list[str] = []
    source: list[int] = []
    place = iter(places)
    at = 0
    for part in row:
        here = [next(place) for _ in part]
        if text:
            text.append(" ")
            source.append(here[0])
        text.append(letters[at : at + len(part)])
        source += here
        at += len(part)
    return Edit(start, end, "".join(text), source)
