"""Whether a name stands for who made a picture or for who is in it: "a meadow by Klimt", "a portrait of Klimt".

Prompts name artists, directors and designers for a style far more often than for a likeness, with "by" or in mere lists
("…, highly detailed, Beksinski, artstation"). The words beside the name tell; they are listed in data/name_context.txt.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import IntEnum

from services.prompt_filter.word_lists import lists

# Words back to the "by" of a list of makers, and words of one maker.
_CREDITS, _NAME_WORDS = 24, 4
# "the great late" before a name.
_MOST_EPITHETS = 3


class Credit(IntEnum):
    """How plainly a name is that of a maker: not at all, further on in a list of makers, or plainly."""

    NONE = 0
    LISTED = 1
    PLAIN = 2


class Sentence:
    """The words of a text (folded), and what stands between word i and the next: `gap(i)`."""

    def __init__(self, words: Sequence[str], gap: Callable[[int], str]) -> None:
        self._words = words
        self._gap = gap

    def credit(self, first: int, last: int, artist: bool) -> Credit:
        """How the name at words `first`…`last` is credited; that of an `artist` also by "X style" and "a man by X"."""
        # "Frank Frazetta painting", but "Bob Ross painting a canvas"
        if artist and self._next(last) in lists()["signed"] and self._next(last + 1) not in lists()["article"]:
            return Credit.PLAIN
        found, chunk = Credit.PLAIN, 0
        for at in range(first - 1, max(-1, first - 1 - _CREDITS), -1):
            word, before = self._words[at], self._words[at - 1] if at else ""
            if word == "by":
                return found if self._names_maker(at, artist) else Credit.NONE
            if word == "of" and before in lists()["manner"]:
                return found
            comma = self._gap(at).strip() in (",", ";", "&", "+", "|", "/")
            if comma or word == "and":
                found = Credit.LISTED if comma else found
                chunk = 0
            if word != "and":
                chunk += 1
            if chunk > _NAME_WORDS or word in lists()["shows"]:
                return Credit.NONE
        return Credit.NONE

    def _names_maker(self, by: int, artist: bool) -> bool:
        """Whether who is named behind "by" made the picture, and did not do what it shows."""
        known = lists()
        follows = self._words[by + 1 : by + 3]
        if follows[0] in known["article"] and not known["epithet"].intersection(follows[1:]):
            return False  # "by the sea"
        before = self._words[by - 1] if by and not self._gap(by - 1).strip() else ""
        return not before or before in known["work"] or not before.endswith(("ed",) if artist else ("ed", "ing"))

    def depicts(self, first: int, last: int) -> bool:
        """Whether the words beside the name at `first`…`last` say that the picture shows the person."""
        if first == 0 and self._next(last) != "and":  # whom a prompt begins with is its subject
            return True
        return self._is_shown(first) or self._does(last)

    def _is_shown(self, first: int) -> bool:
        """ "a portrait of …", "she looks like …", "draw …", "kissing …", "with the great …"."""
        known = lists()
        at = first - 1
        while at > first - 1 - _MOST_EPITHETS and at >= 0 and not self._gap(at).strip():
            if self._words[at] in known["shows"] or self._words[at] not in known["epithet"] | known["article"]:
                break
            at -= 1
        if at > 0 and self._words[at] == "and":  # "a portrait of A and B"
            at = next((n for n in range(at - 1, max(-1, at - 1 - _NAME_WORDS), -1) if self._words[n] == "of"), -1)
        if at < 0 or self._gap(at).strip(" -\"'("):
            return False
        word, before = self._words[at], self._words[at - 1] if at else ""
        if word in known["shows"]:
            return before not in known["manner"] and before not in known["works"]
        return word.endswith("ing") and word not in known["work"]

    def _does(self, last: int) -> bool:
        """ "… eating a banana", "… in a red coat", "…'s face"."""
        known = lists()
        last += self._next(last) == "s"
        word, behind = self._next(last), self._next(last + 1)
        if word in known["does"]:
            return True
        if word == "in":  # "in skyrim", but not "in the style of"
            return not {behind, self._next(last + 2)} & known["manner"]
        if word in known["stands"]:
            return behind in known["article"]
        if word.endswith("ing"):
            return word not in known["work"] or behind in known["article"]
        return word.endswith("s") and behind in known["article"] | known["stands"]

    def _next(self, at: int) -> str:
        """The word behind word `at`, with nothing but a blank or a hyphen between; empty where there is none."""
        return self._words[at + 1] if at + 1 < len(self._words) and not self._gap(at).strip(" -'’s)") else ""
