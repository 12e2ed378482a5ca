"""Attacks that say the same in other words: synonyms, pictures of words, single foreign words, frames around the text.

Pure functions of a text and a random source; None where an attack has nothing to work on. The words are in
`data/red_team.yaml`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from importlib.resources import files
from random import Random
from typing import Any

import yaml

Attack = Callable[[str, Random], str | None]
_SHORTEST = 5


def load() -> Mapping[str, Attack]:
    """Every attack by its name."""
    data: dict[str, Any] = yaml.safe_load(files(__package__).joinpath("data/red_team.yaml").read_text("utf-8"))
    return {
        "synonym": partial(_replace, data["synonyms"]),
        "visual synonym": partial(_replace, data["visual_synonyms"]),
        "translated word": partial(_replace, data["translations"]),
        "misspelling": _misspell,
        "role play": partial(_frame, data["role_play"]),
        "negation": partial(_frame, data["negation"]),
        "prompt splitting": partial(_split, data["splitting"]),
    }


def _replace(table: Mapping[str, Sequence[str]], text: str, random: Random) -> str | None:
    """Every word of the table replaced by one of its own."""
    pattern = re.compile(rf"\b({'|'.join(table)})\b", re.IGNORECASE)
    changed = pattern.sub(lambda word: random.choice(table[word.group().lower()]), text)
    return changed if changed != text else None


def _misspell(text: str, random: Random) -> str | None:
    """Two inner letters change places in each longer word."""

    def swap(word: re.Match[str]) -> str:
        letters = list(word.group())
        at = random.randrange(1, len(letters) - 2)
        letters[at], letters[at + 1] = letters[at + 1], letters[at]
        return "".join(letters)

    changed = re.sub(rf"[A-Za-z]{{{_SHORTEST},}}", swap, text)
    return changed if changed != text else None


def _frame(frames: Sequence[str], text: str, random: Random) -> str:
    return random.choice(frames).format(text)


def _split(frames: Sequence[str], text: str, random: Random) -> str | None:
    """The text in two halves that are to be read as one."""
    words = text.split()
    if len(words) < 2:
        return None
    at = random.randrange(1, len(words))
    return random.choice(frames).format(" ".join(words[:at]), " ".join(words[at:]))
