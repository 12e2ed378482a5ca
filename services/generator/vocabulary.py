"""Says a prompt in the words that the model knows, and tells which words it changed."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from services.core.errors import InvalidInput

MAX_WORDS = 77  # as many as CLIP's tokens; more are not looked up
NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class Wording:
    """Prompt and negative prompt as the model gets them, and each change of the prompt as "word→known"."""

    words: str
    unwanted: str
    substitutions: tuple[str, ...]


class Vocabulary:
    """A closed set of words, a table of synonyms before it and a nearest-word search behind it."""

    def __init__(
        self,
        known: Collection[str],
        synonyms: Mapping[str, str],
        nearest: Callable[[Sequence[str]], list[str]],
        limit: int,
    ) -> None:
        """`synonyms` may map phrases, and to the empty text; `limit` is how many words the model takes."""
        self._known = frozenset(known)
        self._synonyms = synonyms
        self._nearest = nearest
        self._limit = limit
        phrases = sorted(synonyms, key=len, reverse=True)
        self._pattern = re.compile("|".join([*(rf"{re.escape(phrase)}\b" for phrase in phrases), r"\w+"]))

    def say(self, prompt: str, negative_prompt: str) -> Wording:
        """Both in known words; raises InvalidInput where the prompt is too long."""
        found = self._words(prompt)
        if len(found) > MAX_WORDS:
            raise InvalidInput("prompt", f"has {len(found)} words; this model reads at most {MAX_WORDS}")
        changes = self._changes(found)
        said = " ".join(changes.get(word, word) for word in found).split()
        words = [word for word, _ in groupby(said)]  # "a photo of a" has become "a a"
        if len(words) > self._limit:
            raise InvalidInput("prompt", f"is {len(words)} words to this model; it draws at most {self._limit}")
        substitutions = tuple(f"{word}→{known or NOTHING}" for word, known in changes.items())
        return Wording(" ".join(words), self._unwanted(negative_prompt), substitutions)

    def _words(self, text: str) -> list[str]:
        """Words of the text, and phrases that have a synonym."""
        return re.findall(rf"\b(?:{self._pattern.pattern})", text.lower())

    def _unwanted(self, negative_prompt: str) -> str:
        """What it names of the model's own words; the rest cannot be drawn anyway."""
        said = " ".join(self._synonyms.get(word, word) for word in self._words(negative_prompt)).split()
        known = dict.fromkeys(word for word in said if word in self._known)
        return " ".join(list(known)[: self._limit])

    def _changes(self, found: Sequence[str]) -> dict[str, str]:
        """What becomes of each word or phrase that is not known, in the order of the prompt."""
        strange = list(dict.fromkeys(word for word in found if word not in self._known))
        looked_up = [word for word in strange if word not in self._synonyms]
        answers = {**self._synonyms, **dict(zip(looked_up, self._nearest(looked_up), strict=True))}
        return {word: answers[word] for word in strange}
