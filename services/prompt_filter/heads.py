"""What stands on the encoder: an attention head a category, the n-gram model, and their calibrated mixture."""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from services.core.attention_heads import AttentionHeads
from services.core.errors import ConfigurationError
from services.core.policy.categories import CATEGORIES
from services.prompt_filter.ngrams import BUCKETS, NgramModel

# The head after those of the categories: whether a text violates anything at all.
ANY = "any"


@dataclass(frozen=True, slots=True)
class Heads(AttentionHeads):
    """`categories` C names, H = C + 1 heads (the last one is ANY).

    `ngrams`: H logits too. `mix` float32 (C, 5), a Platt calibration (Platt 1999): a probability is the sigmoid of
    mix · (encoder's logit, n-grams' logit, encoder's ANY, n-grams' ANY, 1).
    """

    categories: tuple[str, ...]
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
            names = tuple(str(category) for category in arrays["categories"])
            query, weight, bias = (arrays[key].astype(np.float32) for key in ("query", "weight", "bias"))
            ngrams = NgramModel(arrays["ngram_weights"], arrays["ngram_scales"], arrays["ngram_bias"])
            heads = cls(query, weight, bias, names, ngrams, arrays["mix"])
        except KeyError as error:
            raise ConfigurationError(f"{name}: has no array {error}; it is no model of this filter") from error
        if unknown := sorted(set(names) - set(CATEGORIES)):
            raise ConfigurationError(f"{name}: knows categories that the policy does not: {', '.join(unknown)}")
        rows = len(names) + 1
        fits = len(query) == len(weight) == len(bias) == rows and ngrams.weights.shape == (BUCKETS, rows)
        if not fits or heads.mix.shape != (len(names), 5):
            raise ConfigurationError(f"{name}: its arrays do not fit {len(names)} categories")
        return heads

    def blame(self, states: np.ndarray, column: int) -> np.ndarray:
        """float32 (T,): what each token of states (T, D) adds to the calibrated logit of a category."""
        shares = self.shares(states)
        blame: np.ndarray = self.mix[column, 0] * shares[:, column] + self.mix[column, 2] * shares[:, -1]
        return blame

    def says(self, word: str, column: int) -> float:
        """What the n-grams of a word add to the calibrated logit of a category."""
        own, every = (self.ngrams.share(word, head) for head in (column, -1))
        return float(self.mix[column, 1] * own + self.mix[column, 3] * every)

    def calibrated(self, encoder: np.ndarray, ngrams: np.ndarray) -> np.ndarray:
        """float (…, C) logits of probabilities from the (…, H) logits of both."""
        own = self.mix[:, 0] * encoder[..., :-1] + self.mix[:, 1] * ngrams[..., :-1] + self.mix[:, 4]
        logits: np.ndarray = own + self.mix[:, 2] * encoder[..., -1:] + self.mix[:, 3] * ngrams[..., -1:]
        return logits
