"""A reading of a text that remembers where each of its letters came from."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import regex

from services.core.signals import TextForm, TextSpan


class Edit(NamedTuple):
    """Characters `start`…`end` read as `new`; `source[i]` says at which of them new[i] stands, None: it stands for all.

    `disguise` is False for what people write without hiding anything: emoji, accents, stretched letters.
    """

    start: int
    end: int
    new: str
    source: Sequence[int] | None = None
    disguise: bool = True


@dataclass(frozen=True, slots=True)
class Form:
    """Character i of `text` stands for bytes `starts[i]`…`ends[i]` of the original's UTF-8.

    `disguised` says that more than ordinary spelling had to be undone to come here.
    """

    name: TextForm
    text: str
    starts: Sequence[int]
    ends: Sequence[int]
    disguised: bool = False

    def span(self, start: int, end: int) -> TextSpan:
        """The bytes of the original behind characters `start`…`end` of this form, 0 ≤ start < end ≤ len(text)."""
        return TextSpan(min(self.starts[start:end]), max(self.ends[start:end]), self.name)

    def within(self, span: TextSpan) -> str:
        """The characters of this form that stand for bytes in `span`."""
        places = zip(self.text, self.starts, self.ends, strict=True)
        return "".join(letter for letter, start, end in places if start < span.end and span.start < end)

    def edit(self, edits: Iterable[Edit]) -> Form:
        """This form with `edits` made, which come in order and do not overlap; linear in the text."""
        text: list[str] = []
        starts: list[int] = []
        ends: list[int] = []
        done, disguised = 0, self.disguised
        for begin, end, new, source, disguise in edits:
            text += self.text[done:begin], new
            starts += self.starts[done:begin]
            ends += self.ends[done:begin]
            if source is None:
                starts += [min(self.starts[begin:end])] * len(new)
                ends += [max(self.ends[begin:end])] * len(new)
            else:
                starts += [self.starts[at] for at in source]
                ends += [self.ends[at] for at in source]
            done, disguised = end, disguised or disguise
        if not text:
            return self
        text.append(self.text[done:])
        return Form(self.name, "".join(text), [*starts, *self.starts[done:]], [*ends, *self.ends[done:]], disguised)

    def sub(
        self, pattern: re.Pattern[str] | regex.Pattern[str], read: Callable[[str], str], *, disguise: bool = True
    ) -> Form:
        """Every match replaced by what `read` makes of it: letter for letter where the length stays."""
        return self.edit(
            Edit(match.start(), match.end(), new, range(*match.span()) if len(new) == len(old) else None, disguise)
            for match in pattern.finditer(self.text)
            if (new := read(old := match.group())) != old
        )

    def backwards(self, text: str) -> Form:
        """Read from its end; `text` is what that reads like, as long as this one."""
        return replace(self, text=text, starts=self.starts[::-1], ends=self.ends[::-1], disguised=True)

    def trimmed(self) -> Form:
        """Without blanks at either end."""
        begin = len(self.text) - len(self.text.lstrip())
        end = max(begin, len(self.text.rstrip()))
        return replace(self, text=self.text[begin:end], starts=self.starts[begin:end], ends=self.ends[begin:end])
