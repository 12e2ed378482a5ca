"""Revises prompts about unspecified people by what a policy says of them. Pure: the same in, the same out.

The technique of the DALL·E 2 team of July 2022 (openai.com/index/reducing-bias-and-improving-safety-in-dall-e-2), with
open distributions and for few prompts: docs/diversity.md.
"""

from __future__ import annotations

import re
from bisect import bisect
from collections.abc import Mapping
from hashlib import sha256
from itertools import accumulate

from services.core.policy.diversity_rules import DiversityRules
from services.gateway.unspecified import Mention, find

# A vowel that is heard as one: "an Asian", but "a European".
_TAKES_AN = re.compile(r"(?!eu|one|u(?:g|k|ni|ru|s))[aeiou]", re.IGNORECASE)


def revise(prompt: str, negative_prompt: str, rules: DiversityRules, seed: int) -> str | None:
    """The prompt with a phrase of each axis that fits; None where it is to be left as it is.

    Nothing else is changed, save an article that a phrase asks for ("an artist", "a Black artist"). What is said
    depends on the prompt, the seed and the axes alone.
    """
    mention = find(prompt, negative_prompt)
    if mention is None:
        return None
    before: list[str] = []
    after: list[str] = []
    for place, axis in enumerate(rules.axes):
        if axis.people == mention.people and (phrase := _draw(axis.phrases, f"{place}\0{seed}\0{prompt}")):
            (before if axis.place == "before" else after).append(phrase)
    return _say(prompt, mention, " ".join(before), " ".join(after)) if before or after else None


def _draw(phrases: Mapping[str, float], key: str) -> str:
    """A phrase by its weight: where the sha256 of `key`, read as a number of 0…1, falls among them in their order."""
    at = int.from_bytes(sha256(key.encode()).digest()[:8]) / 2**64
    ordered = sorted(phrases)
    ends = list(accumulate(phrases[phrase] for phrase in ordered))
    return ordered[min(bisect(ends, at), len(ends) - 1)]  # weights may sum to a little less than 1


def _say(prompt: str, mention: Mention, before: str, after: str) -> str:
    start, article = mention.start, ""
    if mention.article and before:
        start -= len(mention.article) + 1
        article = prompt[start] + ("n" if _TAKES_AN.match(before) else "")
    who = filter(None, (article, before, prompt[mention.start : mention.end], after))
    return prompt[:start] + " ".join(who) + prompt[mention.end :]
