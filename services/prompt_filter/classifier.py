"""One multi-label model over the text categories; a long text counts as the worst of its windows.

A long text is no more often a violation than a short one, so the odds of each of its windows are divided by their
number: else every long harmless text would have many chances to look bad.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from services.core.text_encoder import Encoder, Window
from services.prompt_filter.culprit import loudest
from services.prompt_filter.heads import Heads

SOURCE = "prompt-classifier/2"


Culprits = Callable[[Sequence[str]], dict[str, tuple[int, int]]]


@dataclass(frozen=True, slots=True)
class Scored:
    """What a classifier says of a text: the calibrated probability 0…1 of each of its categories, always the same ones.

    `culprits` tells on demand where in the text the words stand that speak loudest for some of them, if any do.
    """

    scores: dict[str, float]
    culprits: Culprits


class EncoderClassifier:
    """The heads on the encoder, mixed with n-grams; thread-safe."""

    def __init__(self, encoder: Encoder, heads: Heads) -> None:
        self.encoder = encoder
        self._heads = heads

    def read(self, text: str) -> Scored:
        """Reads a text once for its scores and for what is to blame."""
        windows = self.encoder.windows(text)
        states = [self.encoder.states(window) for window in windows]
        logits = np.array([self._logits(text, *read) for read in zip(windows, states, strict=True)])
        worst = logits.max(axis=0) - np.log(len(windows))
        scores = dict(zip(self._heads.categories, (1 / (1 + np.exp(-worst))).tolist(), strict=True))

        def culprits(categories: Sequence[str]) -> dict[str, tuple[int, int]]:
            """Words of the window that is worst."""
            found = {}
            for category in set(categories).intersection(self._heads.categories):
                column = self._heads.categories.index(category)
                at = int(logits[:, column].argmax())
                if place := self._loudest(text, windows[at], states[at], column):
                    found[category] = place
            return found

        return Scored(scores, culprits)

    def _loudest(self, text: str, window: Window, states: np.ndarray, column: int) -> tuple[int, int] | None:
        shares = self._heads.blame(states, column).tolist()
        return loudest(text, window.places, shares, lambda word: self._heads.says(word, column))

    def _logits(self, text: str, window: Window, states: np.ndarray) -> np.ndarray:
        """Calibrated logits (C,)."""
        start, end = (window.places[0][0], window.places[-1][1]) if window.places else (0, 0)
        return self._heads.calibrated(self._heads.logits(states), self._heads.ngrams.logits(text[start:end]))
