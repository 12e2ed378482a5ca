"""Latin letters in the place of what looks like them, word by word (Unicode UTS #39, and the names of characters)."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

from confusable_homoglyphs import confusables

from services.prompt_filter.form import Edit
from services.prompt_filter.vocabulary import Vocabulary

# ASCII letters and whatever is not ASCII, in runs.
_WORD = re.compile(r"(?:[A-Za-z]|[^\x00-\x7f\s])+")
# "LATIN LETTER SMALL CAPITAL K", "NEGATIVE SQUARED LATIN CAPITAL LETTER K", "TAG LATIN SMALL LETTER K", "… TURNED A".
_NAMED = re.compile(r"(?:.* )?(?:LATIN|REGIONAL)\b.*\bLETTER (?:[A-Z]+ )*?([A-Z])(?: WITH .*)?")
# What UTS #39 tells apart and people do not, and letters that are two.
_ALSO = dict(zip("κτωεβηγχμσδλкмтнвьгдзяиώլֆ", "ktwebnyxuodakmthbbrdernwlf", strict=True)) | {
    "ß": "ss", "æ": "ae", "œ": "oe", "Æ": "AE", "Œ": "OE", "ĳ": "ij", "þ": "th", "ð": "d", "Κ": "K", "Χ": "X", "К": "K",
    "М": "M", "Т": "T", "Н": "H", "В": "B", "Я": "R", "И": "N",
}  # fmt: skip
# Letters turned by half a circle, of which UTS #39 sees another likeness.
TURNED = dict(zip("ɐɔǝɟƃɓɥᴉıɾʞꞁɯɹʇʌʍʎ", "acefgghijjklmrtvwy", strict=True)) | {"ı": "i", "ɾ": "j", "ƃ": "g"}
# The cost of a word that is among the 5,000 commonest.
_COMMON = 8.5
_INVISIBLE = ("Cf", "Mn", "Me", "Cc")
# Letters that take room and show nothing.
_FILLERS = "\u115f\u1160\u3164\uffa0\u2800\u17b4\u17b5"


class _Read(NamedTuple):
    start: int
    run: str
    letters: list[str]

    @property
    def text(self) -> str:
        return "".join(self.letters)

    def is_mixed(self) -> bool:
        """Latin letters beside others, or nothing but Latin ones."""
        return any("LATIN" in unicodedata.name(letter, "") for letter in self.run)

    def is_foreign(self) -> bool:
        """A word of another script with a letter that no Latin one looks like."""
        return not self.is_mixed() and any(new.isalpha() and not new.isascii() for new in self.letters)

    def is_disguise(self) -> bool:
        """More than the accents and the typography of an honest text."""
        return any(
            old != new and not _is_accented(old) and old not in "\u200d\ufe0f\ufeff"
            for old, new in zip(self.run, self.letters, strict=True)
        )


def edits(text: str, words: Vocabulary) -> Iterator[Edit]:
    """Words with look-alike letters as Latin ones; in a text of another script only those that read as English."""
    runs = [
        _Read(m.start(), m.group(), [*map(latin, m.group())]) for m in _WORD.finditer(text) if not m.group().isascii()
    ]
    native = any(read.is_foreign() for read in runs)
    for read in runs:
        new = read.text
        if new == read.run or read.is_foreign():
            continue
        if native and not read.is_mixed() and words.cost(new.lower()) > _COMMON:
            continue
        source = [at for at, letters in enumerate(read.letters, read.start) for _ in letters]
        yield Edit(read.start, read.start + len(read.run), new, source, read.is_disguise())


@lru_cache(maxsize=8192)
def latin(letter: str) -> str:
    """The Latin letters that `letter` is, hides or looks like; nothing for what cannot be seen; else itself."""
    if letter.isascii():
        return letter
    if found := _ALSO.get(letter) or TURNED.get(letter):
        return found
    name = unicodedata.name(letter, "")
    if named := _NAMED.fullmatch(name):
        return named[1].lower() if "CAPITAL" not in name or "SMALL" in name else named[1]
    if unicodedata.category(letter) in _INVISIBLE or letter in _FILLERS:
        return ""
    bare = "".join(mark for mark in unicodedata.normalize("NFKD", letter) if not unicodedata.combining(mark))
    if not bare or bare.isascii():
        return bare
    alike = confusables.is_confusable(bare, greedy=True, preferred_aliases=[])
    for entry in alike if isinstance(alike, list) else ():
        for glyph in entry["homoglyphs"]:
            if len(glyph["c"]) == 1 and glyph["c"].isascii() and glyph["c"].isalpha():
                return str(glyph["c"])
    return _ALSO.get(bare, bare)


@lru_cache(maxsize=8192)
def _is_accented(letter: str) -> bool:
    """A Latin letter with marks, a ligature or the like: honest spelling."""
    return (
        letter in "ßæœÆŒĳþðı"
        or (unicodedata.decomposition(letter) != "" and unicodedata.normalize("NFKD", letter)[0].isascii())
        or " WITH " in unicodedata.name(letter, "")
    )
