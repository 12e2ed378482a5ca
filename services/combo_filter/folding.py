"""Texts in comparable form, each character of which knows where in the original it stood."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass

from services.core.signals import TextSpan


@dataclass(frozen=True, slots=True)
class Folded:
    """A text in comparable form: compatibility forms, case, accents and invisible characters taken off.

    `starts[i]` and `ends[i]` are the bytes of the original between which its character i stood.
    """

    text: str
    starts: tuple[int, ...]
    ends: tuple[int, ...]

    def span(self, start: int, end: int) -> TextSpan:
        """Bytes of the original for characters `start` … `end`."""
        return TextSpan(self.starts[start], self.ends[end - 1])


def fold(text: str) -> Folded:
    """Fold character by character, so that every folded character knows where it came from."""
    characters: list[str] = []
    starts: list[int] = []
    ends: list[int] = []
    position = 0
    for character in text:
        length = len(character.encode("utf-8", "surrogatepass"))
        plain = "'" if character in "’‘`´ʼ" else unicodedata.normalize("NFKD", character).casefold()
        kept = [c for c in plain if unicodedata.category(c) not in ("Mn", "Cf")]
        characters.extend(kept)
        starts.extend([position] * len(kept))
        ends.extend([position + length] * len(kept))
        position += length
    return Folded("".join(characters), tuple(starts), tuple(ends))
