"""Emoji by their names (Unicode CLDR short names, through `emoji`): "🍆" reads "eggplant"."""

from __future__ import annotations

import re
from collections.abc import Iterator

import emoji

from services.prompt_filter.form import Edit
from services.prompt_filter.vocabulary import Vocabulary

# Cheap to look for: no emoji without one of these.
_HINT = re.compile("[\u00a9\u00ae\u203c-\u3299\U0001f000-\U0001faff]")
_FLAG_LETTERS = re.compile("[\U0001f1e6-\U0001f1ff]{2,}")
# What says how an emoji looks, not what it shows.
_LOOKS = re.compile(
    r"_(?:(?:medium|light|dark)[-_])*(?:medium|light|dark)?_?skin_tone|button|_\(.*\)|[^a-z]+", re.IGNORECASE
)
# So many are told; a row of the same one is told once.
_MOST = 64
# Letters and digits in squares and circles read as such.
_SIGNS = re.compile("[0-9#*\U0001f170-\U0001f19a\u24c2\u2139\U0001f1e6-\U0001f1ff]")


def edits(text: str, words: Vocabulary) -> Iterator[Edit]:
    """Each emoji as its words between blanks; between the letters of one word it is only a mark and goes."""
    if text.isascii() or not _HINT.search(text):
        return
    spelled = any(_spells(run.group(), words) for run in _FLAG_LETTERS.finditer(text))
    named = before = 0
    for found in emoji.emoji_list(text):
        start, end, shown = found["match_start"], found["match_end"], found["emoji"]
        if _SIGNS.match(shown) and (spelled or not _FLAG_LETTERS.fullmatch(shown)):
            continue
        if _splits_a_word(text, start, end, words):
            yield Edit(start, end, "", (), disguise=True)
        elif named >= _MOST or (start == before and text[start:end] == text[start - (end - start) : start]):
            yield Edit(start, end, " ", None, disguise=False)  # told already, or too many to tell
        elif name := name_of(shown):
            named += 1
            yield Edit(start, end, f" {name} ", None, disguise=False)
        before = end


def name_of(shown: str) -> str:
    """The words of one emoji in lower case, without skin tones."""
    return _LOOKS.sub(" ", emoji.demojize(shown, delimiters=("", ""))).strip().lower()


def _spells(letters: str, words: Vocabulary) -> bool:
    """A word in letters of flags: no row of flags, or a word as such."""
    word = "".join(chr(ord(letter) - 0x1F1E6 + ord("a")) for letter in letters)
    pairs = (letters[at : at + 2] for at in range(0, len(letters), 2))
    return (len(word) > 2 and word in words) or not all(pair in emoji.EMOJI_DATA for pair in pairs)


def _splits_a_word(text: str, start: int, end: int, words: Vocabulary) -> bool:
    """Letters touch it on both sides, and one of these sides is no word by itself."""
    before = re.search(r"[A-Za-z]+\Z", text[max(0, start - 20) : start])
    after = re.match(r"[A-Za-z]+", text[end : end + 20])
    if not (before and after):
        return False
    return any(words.cost(side.lower()) == float("inf") for side in (before.group(), after.group()))
