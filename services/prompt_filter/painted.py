"""Texts that were read out of pictures, by a reader that now and then leaves out a blank or mistakes a letter."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from math import prod, sqrt

from services.core.errors import InvalidInput
from services.prompt_filter.banks import NOTHING_ADDED, Added
from services.prompt_filter.classifier import SOURCE as CLASSIFIER
from services.prompt_filter.pipeline import PromptMeasurement, PromptPipeline
from services.prompt_filter.validate import validate
from services.prompt_filter.vocabulary import Vocabulary, vocabulary

MOST_TEXTS, MOST_CHARACTERS = 128, 1_000
# A classifier of prompts makes too much of a few words ("Cash only"): they are also put as in a prompt for a picture.
LABEL, _PROMPT = 3, "a sign that says {}"  # words at most
_DOUBTED = 0.3  # below this a score decides nothing
_SURE = 1e-4  # as far as a probability may be from 0 and 1
# What a reader takes for each other, both ways.
_ALIKE = (("l", "i"), ("1", "l"), ("1", "i"), ("0", "o"), ("5", "s"), ("rn", "m"), ("vv", "w"), ("cl", "d"), ("c", "e"))
_WORD, _LONE = re.compile(r"[A-Za-z0-9]{4,}"), re.compile(r"(?<![\w.,])[1l|](?= [A-Za-z])")
_LETTERS = re.compile(r"[A-Za-z]{5,}")


def require_painted(texts: Sequence[str]) -> list[str]:
    """The texts; raises InvalidInput where they are too many, too long or no text."""
    if not 1 <= len(texts) <= MOST_TEXTS:
        raise InvalidInput("texts", f"are {len(texts)}, allowed are 1 to {MOST_TEXTS}")
    for number, text in enumerate(texts):
        field = f"texts[{number}]"
        if len(text) > MOST_CHARACTERS:
            raise InvalidInput(field, f"has {len(text)} characters, allowed are 1 to {MOST_CHARACTERS}")
        validate(text, field)
    return list(texts)


def measure_painted(
    pipeline: PromptPipeline, texts: Sequence[str], added: Added = NOTHING_ADDED
) -> list[PromptMeasurement]:
    """What each text says, with its blanks as they were read and as they must have been; blocking."""
    return [_measured(pipeline, text, added) for text in texts]


def with_blanks(text: str, words: Vocabulary) -> str:
    """`text` with blanks between words that stand joined ("HOWTO BAKEACAKE"); other words stay as they are."""

    def spaced(found: re.Match[str]) -> str:
        letters = found.group()
        parts = None if letters.lower() in words else words.split(letters.lower())
        return " ".join(parts) if parts and all(part in words for part in parts) else letters

    return _LETTERS.sub(spaced, text)


def with_letters(text: str, words: Vocabulary) -> str:
    """`text` with words put right that are none but would be with letters that look alike ("bornb", "cocalne")."""

    def meant(found: re.Match[str]) -> str:
        read = found.group().lower()
        if read in words or read.isdigit():
            return found.group()
        pairs = [pair for one, other in _ALIKE for pair in ((one, other), (other, one))]
        guesses = {
            read[: at.start()] + other + read[at.end() :] for one, other in pairs for at in re.finditer(one, read)
        }
        known = sorted(guess for guess in guesses if guess in words)
        return known[0] if len(known) == 1 else found.group()

    return _LONE.sub("I", _WORD.sub(meant, text))


def _measured(pipeline: PromptPipeline, text: str, added: Added) -> PromptMeasurement:
    read = _read(pipeline, text, added)
    words = vocabulary()
    if (meant := with_letters(with_blanks(text, words), words)) == text:
        return read
    return replace(read, signals=(*read.signals, *_read(pipeline, meant, added).signals))


def _read(pipeline: PromptPipeline, text: str, added: Added) -> PromptMeasurement:
    """What a text says; of a label the classifier's scores, where a prompt lowers them, lie half-way."""
    read = pipeline.measure(text, added=added)
    doubted = any(signal.source == CLASSIFIER and signal.score >= _DOUBTED for signal in read.signals)
    if not doubted or len(text.split()) > LABEL:
        return read
    put = pipeline.measure(_PROMPT.format(text), added=added)
    scores = {signal.category: signal.score for signal in put.signals if signal.source == CLASSIFIER}
    between = (
        replace(signal, score=min(signal.score, _between(signal.score, scores.get(signal.category, signal.score))))
        if signal.source == CLASSIFIER
        else signal
        for signal in read.signals
    )
    return replace(read, signals=tuple(between))


def _between(one: float, other: float) -> float:
    """The mean of two probabilities in log odds."""
    odds = sqrt(prod(min(max(p, _SURE), 1 - _SURE) / (1 - min(max(p, _SURE), 1 - _SURE)) for p in (one, other)))
    return odds / (1 + odds)
