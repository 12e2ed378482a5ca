"""Makes a text readable for the filter and remembers where each letter came from.

Two forms are read. *plain*: NFKC and single blanks, no more than any reader does. *undressed*: what a person would read
through a disguise, step by step in `undress`. Every step is linear in the text, and no step makes it longer than the
names of its emoji.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

import regex

from services.prompt_filter import emoji_words, encodings, look_alikes, spelling
from services.prompt_filter.form import Edit, Form
from services.prompt_filter.vocabulary import Vocabulary

__all__ = ["Form", "plain", "undress"]

_BLANKS = re.compile(r"\s+")
# A letter and its marks, at most 30 at once (Unicode's stream-safe limit): ordering marks takes their square.
_CLUSTER = regex.compile(r"\P{M}\p{M}{0,30}|\p{M}{1,30}")
# Tags, comments and codes of forums that stand inside a word.
_MARKUP = re.compile(
    r"(?<=[A-Za-z0-9@$!])(?:</?[A-Za-z][^<>]{0,60}>|<!--[^<>]{0,60}-->|\[/?[A-Za-z]{1,10}(?:=[^\[\]]{0,30})?\]"
    r"|\{\}|\"\")+(?=[A-Za-z0-9@$!])"
)
_OVERRIDDEN = re.compile("[\u202e\u2067]([^\u202c\u2069\n]*)[\u202c\u2069]?")
_UPSIDE_DOWN = str.maketrans({**look_alikes.TURNED, **dict(zip("bdnpqu", "qpudbn", strict=True)), "ʃ": "l"})
_TURNED = re.compile("[" + "".join(look_alikes.TURNED) + "]")
_MAX_ROUNDS = 3

_STEPS: tuple[Callable[[str, Vocabulary], Iterable[Edit]], ...] = (
    emoji_words.edits,
    look_alikes.edits,
    encodings.edits,
)
_SPELLING: tuple[Callable[[str, Vocabulary], Iterable[Edit]], ...] = (
    spelling.joined,
    spelling.mended,
    spelling.respelled,
)


def plain(text: str) -> Form:
    """NFKC, control characters and runs of blanks as one blank; `text` must be valid Unicode without surrogates."""
    if text.isascii():
        form = Form("original", text, range(len(text)), range(1, len(text) + 1))
    else:
        form = _mapped(text).sub(_CLUSTER, lambda cluster: unicodedata.normalize("NFKC", cluster), disguise=False)
    return form.sub(_BLANKS, lambda _: " ", disguise=False).trimmed()


def undress(form: Form, words: Vocabulary) -> Form:
    """What a person reads through disguises in `form`; `words` decide doubtful spellings."""
    form = replace(form, name="undressed")
    for _ in range(_MAX_ROUNDS):
        before = form.text
        form = _forwards(form, words)
        for step in _STEPS:
            form = form.edit(step(form.text, words))
        form = form.sub(_MARKUP, lambda _: "")
        form = form.edit(spelling.rotated(form.text, words))
        for step in _SPELLING:
            form = form.edit(_of_accents(form, step(form.text, words)))
        form = form.sub(_BLANKS, lambda _: " ", disguise=False).trimmed()
        if form.text == before:
            break
    return form


def _of_accents(form: Form, edits: Iterable[Edit]) -> Iterator[Edit]:
    """`edits`, none of which finds a disguise in a word whose accents were taken off: "Mädchen" hides no "mad"."""
    for edit in edits:
        ascii_ = all(form.ends[at] - form.starts[at] == 1 for at in range(edit.start, edit.end))
        yield edit if ascii_ else edit._replace(disguise=False)


def _mapped(text: str) -> Form:
    lengths = [len(letter.encode()) for letter in text]
    ends: list[int] = []
    total = 0
    for length in lengths:
        total += length
        ends.append(total)
    starts = [end - length for end, length in zip(ends, lengths, strict=True)]
    return Form("original", text, starts, ends)


def _forwards(form: Form, words: Vocabulary) -> Form:
    """In reading order and upright: a text backwards, upside down, or under a right-to-left override."""
    if not form.text.isascii():
        form = form.edit(
            Edit(run.start(1), run.end(1), run[1][::-1], range(run.end(1) - 1, run.start(1) - 1, -1))
            for run in _OVERRIDDEN.finditer(form.text)
            if spelling.share(run[1][::-1], words) > spelling.share(run[1], words)
        )
        if _TURNED.search(form.text):
            upright = form.text.translate(_UPSIDE_DOWN)
            if spelling.reads_better(form.text, upright[::-1], words):
                return form.backwards(upright[::-1])
    if spelling.reads_better(form.text, form.text[::-1], words):
        return form.backwards(form.text[::-1])
    return form
