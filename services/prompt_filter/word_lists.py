"""The words around a name that tell what it names (data/name_context.txt)."""

from __future__ import annotations

from functools import cache
from importlib.resources import files


@cache
def lists() -> dict[str, frozenset[str]]:
    """The word lists of data/name_context.txt by their section."""
    found: dict[str, set[str]] = {}
    section: set[str] = set()
    for line in files(__package__).joinpath("data/name_context.txt").read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            section = found.setdefault(line.strip("[]"), set())
        elif not line.startswith("#"):
            section.update(line.split())
    return {name: frozenset(words) for name, words in found.items()}
