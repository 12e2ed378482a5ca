"""One multi-label model over the text categories; a long text counts as the worst of its windows.

A long text is no more often a violation than a short one, so the odds of each of its windows are divided by their
number: else every long harmless text would have many chances to look bad.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from services.prompt_filter.culprit import loudest
from services.prompt_filter.encoder import Encoder, Window
from services.prompt_filter.heads import Heads

SOURCE = "prompt-classifier/2"


class Classifier(Protocol):
    """What the pipeline asks of a classifier; must be thread-safe."""

    def scores(self, text: str) -> dict[str, float]:
        """Calibrated probability 0…1 of each of its categories, always the same ones."""
        ...

    def culprits(self, text: str, categories: Sequence[str]) -> dict[str, tuple[int, int]]:
        """Where in `text` the words stand that speak loudest for each of the categories, if any do."""
        ...


class EncoderClassifier:
    """The heads on the encoder, mixed with n-grams."""

    def __init__(self, encoder: Encoder, heads: Heads) -> None:
        self.encoder = encoder
        self._heads = heads

    def scores(self, text: str) -> dict[str, float]:
        """See `Classifier`."""
        windows = self.encoder.windows(text)
        logits = [self._logits(text, window, self.encoder.states(window)) for window in windows]
        worst = np.max(logits, axis=0) - np.log(len(windows))
        return dict(zip(self._heads.categories, (1 / (1 + np.exp(-worst))).tolist(), strict=True))

    def culprits(self, text: str, categories: Sequence[str]) -> dict[str, tuple[int, int]]:
        """See `Classifier`; words of the window that is worst."""
        windows = self.encoder.windows(text)
        states = [self.encoder.states(window) for window in windows]
        logits = np.array([self._logits(text, *read) for read in zip(windows, states, strict=True)])
        found = {}
        for category in categories:
            column = self._heads.categories.index(category)
            worst = int(logits[:, column].argmax())
            if place := self._loudest(text, windows[worst], states[worst], column):
                found[category] = place
        return found

    def _loudest(self, text: str, window: Window, states: np.ndarray, column: int) -> tuple[int, int] | None:
        shares = self._heads.blame(states, column).tolist()
        return loudest(text, window.places, shares, lambda word: self._heads.says(word, column))

    def _logits(self, text: str, window: Window, states: np.ndarray) -> np.ndarray:
        """Calibrated logits (C,)."""
        start, end = (window.places[0][0], window.places[-1][1]) if window.places else (0, 0)
        return self._heads.calibrated(self._heads.logits(states), self._heads.ngrams.logits(text[start:end]))
