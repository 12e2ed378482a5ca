"""A prompt cut where filters found something, and where a character hides: pure, for the template to draw."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise

from services.core.signals import TextSpan
from services.core.verdicts import Reason

# Format, control, surrogate, private and unassigned characters, and separators that look like others or like nothing.
_HIDING = frozenset({"Cf", "Cc", "Cs", "Co", "Cn", "Zl", "Zp"})
_SEEN = frozenset("\n\t ")


@dataclass(frozen=True, slots=True)
class Piece:
    """A run of text; `categories` found something in it; `hidden`: it stands for a character that nobody would see."""

    text: str
    categories: tuple[str, ...] = ()
    hidden: bool = False


def pieces(text: bytes, reasons: Iterable[Reason], *, negative: bool = False) -> list[Piece]:
    """The whole text in order, cut at the ends of the reasons' spans (bytes of the original; UTF-8).

    A span that ends within a character takes the whole of it; one beyond the text is cut off there. With `negative`
    the spans of the negative prompt count, else those of the prompt.
    """
    marks = [
        (_back(text, span.start), _on(text, span.end), reason.category)
        for reason in reasons
        for span in reason.evidence
        if isinstance(span, TextSpan) and (span.form == "negative") == negative
    ]
    cuts = sorted({0, len(text), *(end for mark in marks for end in mark[:2])})
    return [piece for begin, end in pairwise(cuts) for piece in _shown(text[begin:end], _covering(marks, begin))]


def _covering(marks: Sequence[tuple[int, int, str]], place: int) -> tuple[str, ...]:
    return tuple(sorted({category for begin, end, category in marks if begin <= place < end}))


def _shown(text: bytes, categories: tuple[str, ...]) -> Iterator[Piece]:
    for hidden, run in groupby(text.decode(errors="replace"), _hides):
        if hidden:
            yield from (Piece(f"U+{ord(character):04X}", categories, hidden=True) for character in run)
        else:
            yield Piece("".join(run), categories)


def _hides(character: str) -> bool:
    category = unicodedata.category(character)
    return character not in _SEEN and (category in _HIDING or category == "Zs")


def _back(text: bytes, place: int) -> int:
    """The beginning of the character at `place`, within the text."""
    place = max(0, min(place, len(text)))
    while 0 < place < len(text) and _continues(text[place]):
        place -= 1
    return place


def _on(text: bytes, place: int) -> int:
    """The end of the character before `place`, within the text."""
    place = max(0, min(place, len(text)))
    while place < len(text) and _continues(text[place]):
        place += 1
    return place


def _continues(byte: int) -> bool:
    return byte & 0xC0 == 0x80
