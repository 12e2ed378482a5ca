"""Patterns of words: from readable sequences in YAML to RE2 expressions, which match in linear time.

A pattern is a sequence of items: `a|b` is one of several (`fire_place` is two words in a row), `{group}` a word of a
group, `x?` may be missing, `..` stands for up to two words of the same clause and `...` for up to four.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import re2

_SPACE = r"[\s-]+"
_WORD = r"[\w']+"
_GAPS = {"..": 2, "...": 4}
_VOWELS = "aeiou"
_SIEVE_BYTES = 64 << 20  # the most that the states of the automaton take


def noun(word: str) -> str:
    """The noun with its plurals and possessives."""
    stem = _words(word)
    if word.endswith("y") and word[-2] not in _VOWELS:
        stem = f"{stem[:-1]}(?:y|ies|y's)"
        return f"{stem}'?"
    return f"{stem}(?:e?s)?(?:'s|')?"


def singulars(word: str) -> tuple[str, ...]:
    """The forms under which a list of singular nouns may know the word, itself first."""
    rules = (("s", ""), ("es", ""), ("ies", "y"), ("men", "man"), ("ves", "fe"))
    return (word, *(word.removesuffix(ending) + single for ending, single in rules if word.endswith(ending)))


def verb(word: str) -> str:
    """The verb with its inflections, as regular verbs form them; only the first of several words is inflected."""
    head, _, rest = word.partition(" ")
    stem, last = re.escape(head), head[-1]
    forms = f"{stem}(?:s|es|d|ed|ing)?"
    if last == "e":
        forms = f"{stem[:-1]}(?:e|es|ed|ing)"
    elif last == "y" and head[-2] not in _VOWELS:
        forms = f"{stem[:-1]}(?:y|ies|ied|ying)"
    elif last not in _VOWELS and head[-2] in _VOWELS:
        forms = f"{stem}(?:s|ed|ing|{last}ed|{last}ing)?"
    return f"{forms}{_SPACE}{_words(rest)}" if rest else forms


def _words(text: str) -> str:
    """One word or several in a row, hyphenated or not."""
    return _SPACE.join(re.escape(part) for part in re.split(r"[\s_-]+", text))


def _alternatives(expressions: Iterable[str]) -> str:
    return f"(?:{'|'.join(sorted(expressions, key=len, reverse=True))})"


def read_groups(document: Mapping[str, Mapping[str, Sequence[str]]]) -> dict[str, str]:
    """The expressions of words.yaml's groups by name, each with all forms of its words; `number` is any in digits."""
    forms = {"nouns": noun, "verbs": verb, "words": _words}
    return {"number": r"\d[\d.,:/]*"} | {
        name: _alternatives(forms[kind](word) for word in words)
        for kind, groups in document.items()
        for name, words in groups.items()
    }


class Sieve:
    """Tells in one pass which of many patterns a text holds at all (RE2's sets): a thousandth of asking each."""

    def __init__(self, patterns: Iterable[Any]) -> None:
        self._patterns = tuple(dict.fromkeys(patterns))
        options = re2.Options()
        options.max_mem, options.log_errors = _SIEVE_BYTES, False
        self._set = re2.Set.SearchSet(options)
        # One that every text holds: where even that is not found, memory ran out, and nothing is sifted.
        for expression in ("", *(pattern.pattern for pattern in self._patterns)):
            self._set.Add(expression)
        self._set.Compile()

    def __call__(self, text: str) -> frozenset[Any]:
        """The patterns that are worth a search."""
        found = set(self._set.Match(text))
        if 0 not in found:
            return frozenset(self._patterns)
        return frozenset(self._patterns[index - 1] for index in found if index)


def compile_pattern(pattern: str, groups: Mapping[str, str]) -> Any:
    """The RE2 program of one pattern; KeyError where it names an unknown group."""
    expression, pending = "", ""
    for item in pattern.split():
        name = item.removesuffix("?")
        if name in _GAPS:
            pending = f"(?:{_WORD}{_SPACE}){{0,{_GAPS[name]}}}?"
            continue
        part = _alternatives(groups[a[1:-1]] if a.startswith("{") else _words(a) for a in name.split("|"))
        glue = (_SPACE if expression else "") + pending
        pending = ""
        expression += f"(?:{glue}{part})?" if item.endswith("?") else f"{glue}{part}"
    return re2.compile(rf"\b{expression}\b")
