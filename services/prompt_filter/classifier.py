"""One multi-label model over the text categories: a logistic head a category on the encoder, mixed with n-grams.

Both logits of a category enter a Platt calibration (Platt 1999) that was fitted on texts held out of training; a long
text counts as the worst of its windows.
"""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from services.core.errors import ConfigurationError
from services.core.policy.categories import CATEGORIES
from services.prompt_filter.encoder import Encoder
from services.prompt_filter.ngrams import BUCKETS, NgramModel

SOURCE = "prompt-classifier/1"


@dataclass(frozen=True, slots=True)
class Heads:
    """`categories` C names; `weights` float32 (C, D), `bias` (C,) on the embedding; `ngrams`; `mix` float32 (C, 3):

    probability = sigmoid(mix₀ · head logit + mix₁ · n-gram logit + mix₂).
    """

    categories: tuple[str, ...]
    weights: np.ndarray
    bias: np.ndarray
    ngrams: NgramModel
    mix: np.ndarray

    @classmethod
    def load(cls, path: Path) -> Heads:
        """Reads the .npz that training wrote; raises as `read`."""
        return cls.read(path.read_bytes(), path.name)

    @classmethod
    def read(cls, data: bytes, name: str) -> Heads:
        """Heads from the bytes of an .npz called `name`; raises ConfigurationError where they do not fit this code."""
        try:
            with np.load(BytesIO(data), allow_pickle=False) as file:
                arrays = {key: file[key] for key in file.files}
        except (ValueError, OSError, BadZipFile) as error:
            raise ConfigurationError(f"{name}: cannot be read ({error})") from error
        try:
            names = tuple(str(name) for name in arrays["categories"])
            ngrams = NgramModel(arrays["ngram_weights"], arrays["ngram_scales"], arrays["ngram_bias"])
            heads = cls(names, arrays["weights"].astype(np.float32), arrays["bias"], ngrams, arrays["mix"])
        except KeyError as error:
            raise ConfigurationError(f"{name}: has no array {error}; it is no model of this filter") from error
        if unknown := sorted(set(names) - set(CATEGORIES)):
            raise ConfigurationError(f"{name}: knows categories that the policy does not: {', '.join(unknown)}")
        if ngrams.weights.shape != (BUCKETS, len(names)) or heads.mix.shape != (len(names), 3):
            raise ConfigurationError(f"{name}: its arrays do not fit {len(names)} categories")
        return heads


class Classifier:
    """Scores a text; thread-safe."""

    def __init__(self, encoder: Encoder, heads: Heads) -> None:
        self.encoder = encoder
        self._heads = heads

    def scores(self, text: str) -> dict[str, float]:
        """Calibrated probability 0…1 of each category."""
        heads = self._heads
        logits = [
            heads.mix[:, 0] * (heads.weights @ self.encoder.embed(window) + heads.bias)
            + heads.mix[:, 1] * heads.ngrams.logits(text[window.start : window.end])
            + heads.mix[:, 2]
            for window in self.encoder.windows(text)
        ]
        worst = np.max(logits, axis=0)
        return dict(zip(heads.categories, (1 / (1 + np.exp(-worst))).tolist(), strict=True))

    def culprit(self, text: str, category: str) -> tuple[int, int] | None:
        """Where in `text` the word or pair stands that speaks loudest for `category`; None where none does."""
        return self._heads.ngrams.heaviest(text, self._heads.categories.index(category))
