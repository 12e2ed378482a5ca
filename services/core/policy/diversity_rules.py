"""What a policy says about pictures of unspecified people: what is said of them, and how often."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from services.core.policy.fields import Section

Mode = Literal["shadow", "enforce"]
People = Literal["one", "several"]
Place = Literal["before", "after"]

MAX_PHRASE_CHARACTERS = 40
SUM_TOLERANCE = 1e-5  # so that three thirds may be written with six digits
_PHRASE = re.compile(r"[A-Za-z]+(?:[ -][A-Za-z]+)*")
# What would make a child of somebody whom nobody called one.
_CHILDREN = re.compile(
    r"\b(?:adolescent|bab(?:y|ies)|boys?|child(?:ish|like|ren)?|girls?|infants?|juvenile|kids?|little|minors?|newborn|preteen"
    r"|school(?:boy|girl)s?|teen(?:s|age|agers?)?|toddlers?|underage|young(?:er|sters?)?|youth(?:ful)?)\b",
    re.IGNORECASE,
)


def _phrase(text: str) -> str:
    if not text:
        return text
    if len(text) > MAX_PHRASE_CHARACTERS or not _PHRASE.fullmatch(text):
        raise ValueError(
            f"phrase {text!r} must be words of the letters a–z, with single blanks or hyphens between, of at most"
            f" {MAX_PHRASE_CHARACTERS} characters in all; '' says nothing"
        )
    if young := _CHILDREN.search(text):
        raise ValueError(f"phrase {text!r} says {young[0]!r}: no phrase may make a child of anybody")
    return text


def _distribution(phrases: dict[str, float]) -> dict[str, float]:
    total = sum(phrases.values())
    if abs(total - 1) > SUM_TOLERANCE:
        raise ValueError(f"the weights sum to {total:.6g}: they must sum to 1")
    return phrases


Phrase = Annotated[str, AfterValidator(_phrase)]
Weight = Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)]


class Axis(Section):
    """One thing that is said: each phrase with its share. Of prompts about one person, or about several.

    `before` stands in front of the person and what is said of it already ("a Black smiling doctor"), `after` behind it
    ("two chefs of different ages"). The phrase '' says nothing.
    """

    people: People = "one"
    place: Place = "before"
    phrases: Annotated[dict[Phrase, Weight], Field(min_length=1, max_length=100), AfterValidator(_distribution)]


class DiversityRules(Section):
    """One phrase of every axis that fits goes into a prompt about people of whom it says nothing.

    In `shadow` such prompts are revised and judged, and drawn as they were asked.
    """

    mode: Mode = "shadow"
    axes: list[Axis] = Field(min_length=1, max_length=10)
