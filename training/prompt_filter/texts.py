"""Reads the hand-written texts of `training/texts` (the format is in its README)."""

from __future__ import annotations

import itertools
import random
import re
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd

FOLDER = Path(__file__).resolve().parents[1] / "texts"
_TWINS = re.compile(r"\[([^\[\]]*)\]")
_CHOICES = re.compile(r"{([^{}]*)}")


def read(categories: Sequence[str], folder: Path = FOLDER, limit: int = 12) -> pd.DataFrame:
    """All texts: `text`, `src` ("own-" and the sub-folder), `group` (a line of a file), a column a category: 1, 0, −1.

    A line with choices gives at most `limit` texts a side, the same ones on every run. Raises ValueError, with file
    and line, at an unknown category or a line whose twins do not match.
    """
    rows = [row for path in sorted(folder.glob("*/*.txt")) for row in _file(path, categories, limit)]
    return pd.DataFrame(rows, columns=["text", "src", "group", *categories])


def _file(path: Path, categories: Sequence[str], limit: int) -> Iterator[dict[str, str | int]]:
    labels = dict.fromkeys(categories, 0)
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        try:
            if line.startswith("="):
                labels = _labels(line[1:], categories)
            elif line.strip():
                group = f"{path.stem}-{zlib.crc32(line.encode()):08x}"
                yield from _line(line.strip(), {"src": f"own-{path.parent.name}", "group": group}, labels, limit)
        except ValueError as error:
            raise ValueError(f"{path}:{number}: {error}") from None


def _labels(heading: str, categories: Sequence[str]) -> dict[str, int]:
    """`violence hate ? political`: violence and hate are 1, political is unknown, all else is 0."""
    yes, _, unknown = heading.partition("?")
    if strange := set(yes.split() + unknown.split()) - set(categories):
        raise ValueError(f"no such category: {', '.join(sorted(strange))}")
    return dict.fromkeys(categories, 0) | dict.fromkeys(unknown.split(), -1) | dict.fromkeys(yes.split(), 1)


def _line(line: str, common: dict[str, str], labels: dict[str, int], limit: int) -> Iterator[dict[str, str | int]]:
    """The texts of a line under the heading's labels, then those of its harmless twins with every label 0."""
    for side, text in enumerate(_sides(line)):
        given = dict.fromkeys(labels, 0) if side else labels
        for expanded in _expand(text, limit):
            yield {"text": expanded} | common | given


def _sides(line: str) -> list[str]:
    """The text with the first, the second, … part of every bracket."""
    counts = {part.count("|") + 1 for part in _TWINS.findall(line)}
    if len(counts) > 1 or counts == {1} or bool(re.search(r"[\[\]|]", _TWINS.sub("", line))):
        raise ValueError("every bracket of a line needs the same number of parts, two or more")
    return [_side(line, side) for side in range(max(counts, default=1))]


def _side(line: str, side: int) -> str:
    return _TWINS.sub(lambda found: found[1].split("|")[side], line)


def _expand(text: str, limit: int) -> list[str]:
    """Up to `limit` texts, one choice taken from each pair of braces; drawn by the text's own seed."""
    slots = [found.split("/") for found in _CHOICES.findall(text)]
    every = list(itertools.product(*slots))
    picks = every if len(every) <= limit else random.Random(zlib.crc32(text.encode())).sample(every, limit)
    pattern = _CHOICES.sub("{}", text)
    return [re.sub(r"\s+", " ", pattern.format(*pick)).replace(" ,", ",").strip() for pick in picks]
