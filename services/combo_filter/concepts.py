"""What the words of an edit's prompt would do to the picture: `concept.*` signals, each with the words that say so.

A vocabulary and patterns in YAML (`data/words.yaml`, `data/prompts.yaml`), matched by RE2 in time linear in the text,
and lists of words for people and clothes from WordNet 3.0 (Fellbaum 1998; made by `training.pair_words`).
Every finding names its words, and negation can be told; what no list names is for `edits.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources
from typing import Any

import re2
import yaml

from services.combo_filter.folding import Folded, fold
from services.combo_filter.patterns import Sieve, compile_pattern, read_groups, singulars
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
Words = tuple[tuple[Span, tuple[str, ...]], ...]
"""The words of a text: where each stands, and the forms under which a list may know it."""


@dataclass(frozen=True, slots=True)
class Concept:
    """How one concept is told: by patterns, and by single `words`; a `stubborn` one does not care for negation."""

    name: str
    patterns: tuple[Any, ...]
    words: frozenset[str]
    exceptions: tuple[Any, ...]
    stubborn: bool


@dataclass(frozen=True, slots=True)
class _Read:
    """A prompt, read once for all concepts: the patterns that it holds at all, and where it is harmless."""

    folded: Folded
    words: Words
    held: frozenset[Any]
    harmless: tuple[Span, ...]

    @classmethod
    def of(cls, prompt: str, sieve: Sieve, harmless: tuple[Any, ...]) -> _Read:
        folded = fold(prompt)
        held = sieve(folded.text)
        words = tuple((match.span(), singulars(match[0])) for match in _WORD.finditer(folded.text))
        return cls(folded, words, held, tuple(_spans(harmless, folded.text, held)))


class PromptConcepts:
    """The vocabulary, compiled."""

    def __init__(self, harmless: tuple[Any, ...], concepts: tuple[Concept, ...]) -> None:
        self._harmless = harmless
        self._concepts = concepts
        own = (pattern for concept in concepts for pattern in (*concept.patterns, *concept.exceptions))
        self._sieve = Sieve((*harmless, *own))

    @classmethod
    def load(cls) -> PromptConcepts:
        """Compile the vocabulary that ships with the room, once per process."""
        return _load()

    def measure(self, prompt: str) -> tuple[Signal, ...]:
        """The concepts that the prompt names: score 1 each, evidence the bytes of the original that name it."""
        read = _Read.of(prompt, self._sieve, self._harmless)
        return tuple(signal for concept in self._concepts for signal in _signals(concept, read))

    def measure_absent(self, negative_prompt: str) -> tuple[Signal, ...]:
        """What it means for the picture that it shall not show these words: without clothes a person is undressed."""
        worn = (signal for signal in self.measure(negative_prompt) if signal.category in _WORN)
        return tuple(
            Signal("concept.undress", signal.score, SOURCE, replace(signal.evidence, form="negative"))
            for signal in worn
            if isinstance(signal.evidence, TextSpan)
        )


def _spans(patterns: tuple[Any, ...], text: str, held: frozenset[Any]) -> Iterator[Span]:
    """Where the text holds one of the patterns; `held` are those that it holds at all."""
    return (match.span() for pattern in patterns if pattern in held for match in pattern.finditer(text))


def _word_spans(words: frozenset[str], said: Words) -> Iterator[Span]:
    return (span for span, forms in said if not words.isdisjoint(forms)) if words else iter(())


def _signals(concept: Concept, read: _Read) -> list[Signal]:
    text = read.folded.text
    exempt = (*read.harmless, *_spans(concept.exceptions, text, read.held))
    found = {
        span
        for span in (*_spans(concept.patterns, text, read.held), *_word_spans(concept.words, read.words))
        if not _overlaps(span, exempt) and (concept.stubborn or not _negated(text, span[0]))
    }
    return [Signal(concept.name, 1.0, SOURCE, read.folded.span(*span)) for span in sorted(found)[:SPANS_PER_CONCEPT]]


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
