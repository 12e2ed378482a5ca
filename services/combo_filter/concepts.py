"""What the words of an edit's prompt would do to the picture: `concept.*` signals, each with the words that say so.

A vocabulary and patterns in YAML (`data/words.yaml`, `data/prompts.yaml`), matched by RE2 in time linear in the text,
and lists of words for people and clothes from WordNet 3.0 (Fellbaum 1998; made by `training.pair_words`).
Chosen over an encoder with prototype sentences because every finding names its words, and negation can be told.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources
from typing import Any

import re2
import yaml

from services.combo_filter.patterns import compile_pattern, read_groups, singulars
from services.core.errors import ConfigurationError
from services.core.policy.concepts import CONCEPTS
from services.core.signals import Signal, TextSpan

VERSION = "1"
SOURCE = f"pair-words/{VERSION}"
SPANS_PER_CONCEPT = 4
_WORN = ("concept.name_clothes", "concept.change_clothes")

_NEGATION = re2.compile(
    r"(?:\b(?:no|not|without|never|avoid|avoiding|exclude|excluding|dont|don't|doesn't|isn't|aren't|free of|zero)"
    r"(?:\s+(?:add|adding|show|showing|include|including|put|putting|any|a|an|the|more|other|visible|single|have|having"
    r"|change|changing|alter|altering|touch|touching|signs? of|be|is|are))*\s+)$"
)

_WORD = re2.compile(r"\w+")

Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Concept:
    """How one concept is told: by patterns, and by single `words`; a `stubborn` one does not care for negation."""

    name: str
    patterns: tuple[Any, ...]
    words: frozenset[str]
    exceptions: tuple[Any, ...]
    stubborn: bool


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


class PromptConcepts:
    """The vocabulary, compiled."""

    def __init__(self, harmless: tuple[Any, ...], concepts: tuple[Concept, ...]) -> None:
        self._harmless = harmless
        self._concepts = concepts

    @classmethod
    def load(cls) -> PromptConcepts:
        """Compile the vocabulary that ships with the room, once per process."""
        return _load()

    def measure(self, prompt: str) -> tuple[Signal, ...]:
        """The concepts that the prompt names: score 1 each, evidence the bytes of the original that name it."""
        folded = fold(prompt)
        harmless = tuple(_spans(self._harmless, folded.text))
        return tuple(signal for concept in self._concepts for signal in _signals(concept, folded, harmless))

    def measure_absent(self, negative_prompt: str) -> tuple[Signal, ...]:
        """What it means for the picture that it shall not show these words: without clothes a person is undressed."""
        worn = (signal for signal in self.measure(negative_prompt) if signal.category in _WORN)
        return tuple(
            Signal("concept.undress", signal.score, SOURCE, replace(signal.evidence, form="negative"))
            for signal in worn
            if isinstance(signal.evidence, TextSpan)
        )


def _spans(patterns: tuple[Any, ...], text: str) -> Iterator[Span]:
    return (match.span() for pattern in patterns for match in pattern.finditer(text))


def _word_spans(words: frozenset[str], text: str) -> Iterator[Span]:
    return (match.span() for match in _WORD.finditer(text) if not words.isdisjoint(singulars(match[0])))


def _signals(concept: Concept, folded: Folded, harmless: tuple[Span, ...]) -> list[Signal]:
    exempt = (*harmless, *_spans(concept.exceptions, folded.text))
    found = {
        span
        for span in (*_spans(concept.patterns, folded.text), *_word_spans(concept.words, folded.text))
        if not _overlaps(span, exempt) and (concept.stubborn or not _negated(folded.text, span[0]))
    }
    return [Signal(concept.name, 1.0, SOURCE, folded.span(*span)) for span in sorted(found)[:SPANS_PER_CONCEPT]]


def _overlaps(span: Span, others: tuple[Span, ...]) -> bool:
    return any(start < span[1] and span[0] < end for start, end in others)


def _negated(text: str, start: int) -> bool:
    return _NEGATION.search(text[max(0, start - 80) : start]) is not None


@cache
def _load() -> PromptConcepts:
    folder = resources.files("services.combo_filter") / "data"
    groups = read_groups(yaml.safe_load((folder / "words.yaml").read_text(encoding="utf-8")))
    document = yaml.safe_load((folder / "prompts.yaml").read_text(encoding="utf-8"))

    def compiled(patterns: list[str]) -> tuple[Any, ...]:
        return tuple(compile_pattern(pattern, groups) for pattern in patterns)

    unknown = set(document["concepts"]) - set(CONCEPTS)
    if unknown:
        raise ConfigurationError(f"prompts.yaml names concepts that the policy does not know: {sorted(unknown)}")
    concepts = tuple(
        Concept(
            name,
            compiled(body["patterns"]),
            frozenset((folder / body["words"]).read_text(encoding="utf-8").split() if "words" in body else ()),
            compiled(body.get("except", [])),
            body.get("stubborn", False),
        )
        for name, body in document["concepts"].items()
    )
    return PromptConcepts(compiled(document["harmless"]), concepts)
