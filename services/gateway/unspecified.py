"""Finds people in a prompt of whom it says nothing. Pure; in doubt it finds nobody.

It does not look for what speaks against a revision, for such a list has no end. It knows words that do not
(data/unspecified_people.txt): in a prompt with any other word or mark it finds nobody, nor in one that speaks of people
twice.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from services.core.policy.diversity_rules import People

_TEXT = re.compile(r"[a-z0-9 ,.\n-]*")
_WORD = re.compile(r"[a-z0-9]+")
_NUMBERS = ["two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "several", "some", "many"]


@dataclass(frozen=True, slots=True)
class Mention:
    """Where a prompt speaks of them: from `start`, their modifiers included, to `end`.

    `article` is the "a" or "an" that stands before them with a blank between; empty where neither does.
    """

    people: People
    article: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class _Lexicon:
    plain: frozenset[str]
    negative: frozenset[str]
    capitals: re.Pattern[str]
    mentions: Mapping[People, re.Pattern[str]]


def find(prompt: str, negative_prompt: str) -> Mention | None:
    """The one mention of people of whom both texts say nothing; None where there is none, or any doubt."""
    known = _lexicon()
    text = _small(prompt)
    words, absent = _words(text), _words(_small(negative_prompt))
    if words is None or absent is None or not known.negative.issuperset(absent):
        return None
    if sum(word not in known.plain for word in words) != 1:
        return None
    for people, pattern in known.mentions.items():
        if match := pattern.search(text):
            return Mention(people, match.groupdict().get("article") or "", *match.span("who"))
    return None


def _small(text: str) -> str:
    """The text with small letters where capitals say nothing: where a sentence begins, in a few abbreviations."""
    return _lexicon().capitals.sub(lambda match: match[0].lower(), text)


def _words(text: str) -> list[str] | None:
    """Its words; None where another mark, or a capital that is left, may say more than they do."""
    return _WORD.findall(text) if _TEXT.fullmatch(text) else None


@cache
def _lexicon() -> _Lexicon:
    lists = word_lists()
    plain = lists["plain"] | lists["modifiers"] | lists["followers"]
    modifiers = rf"(?:{_any(lists['modifiers'])}) "
    behind = rf"(?=\s*$|[,.\n]| (?:{_any(lists['followers'])})\b)"
    one = rf"\b(?:(?P<article>an?)|one) (?P<who>(?:{modifiers})*(?:{_any(lists['one'])})){behind}"
    lead = rf"(?:^\s*|[,.]\s+|\b(?:of|{_any(_NUMBERS)}) )"
    several = rf"{lead}(?P<who>(?:{modifiers})*(?:{_any(lists['several'])})){behind}"
    return _Lexicon(
        plain=plain,
        negative=plain | lists["negative"],
        capitals=re.compile(rf"(?:^\s*|\.\s+)[A-Z][a-z]*\b|\b(?:{_any(lists['capitals'])})\b"),
        mentions={"one": re.compile(one), "several": re.compile(several)},
    )


def word_lists() -> Mapping[str, frozenset[str]]:
    """The lists of data/unspecified_people.txt by their section."""
    found: dict[str, set[str]] = {}
    section: set[str] = set()
    text = files(__package__).joinpath("data/unspecified_people.txt").read_text(encoding="utf-8")
    for line in text.splitlines():
        if line.startswith("["):
            section = found.setdefault(line.strip("[]"), set())
        elif not line.startswith("#"):
            section.update(line.split())
    return {name: frozenset(words) for name, words in found.items()}


def _any(words: Iterable[str]) -> str:
    return "|".join(sorted(words))
