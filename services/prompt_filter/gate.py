"""The first stage of the cascade: tells at the price of a few look-ups that a prompt is clearly harmless.

A linear model on words and pairs of words, distilled from what the classifier says (Hinton et al. 2015). It only ever
lets through: a prompt is settled if each of its words is one that harmless prompts use and the sum of their weights
stays below a threshold that was set so that the verdict is the classifier's own. Everything else is left open.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from services.core.errors import ConfigurationError
from services.prompt_filter.ngrams import BUCKETS, WORD, pairs

LONGEST = 400


@dataclass(frozen=True, slots=True)
class Gate:
    """`words`: the weight of each word of harmless prompts; `pairs` int8 (BUCKETS,): of each pair of neighbours; a text
    of known words whose weights sum to at most `threshold` has the probabilities `settled`, one a category.
    """

    words: dict[str, int]
    pairs: np.ndarray
    threshold: int
    settled: dict[str, float]

    @classmethod
    def load(cls, path: Path) -> Gate:
        """Reads the .npz that training wrote; raises ConfigurationError where it does not fit this code."""
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        try:
            words = dict(zip(arrays["words"].tolist(), arrays["weights"].tolist(), strict=True))
            settled = dict(zip(arrays["categories"].tolist(), arrays["settled"].tolist(), strict=True))
            gate = cls(words, arrays["pairs"], int(arrays["threshold"]), settled)
        except (KeyError, ValueError) as error:
            raise ConfigurationError(f"{path.name}: {error}; it is no gate of this filter") from error
        if gate.pairs.shape != (BUCKETS,):
            raise ConfigurationError(f"{path.name}: it does not have {BUCKETS} buckets of pairs")
        return gate

    def scores(self, text: str) -> dict[str, float] | None:
        """Probability 0…1 of each category of a text that is clearly harmless; None of every other."""
        doubt = self.doubt(text)
        return None if doubt is None or doubt > self.threshold else dict(self.settled)

    def doubt(self, text: str) -> int | None:
        """The sum of the weights; None of a text that is long, empty, or has a word that is not known."""
        said = WORD.findall(text.lower()) if len(text) <= LONGEST else []
        if not said or not all(word in self.words for word in said):
            return None
        doubt = sum(self.words[word] for word in set(said))
        return doubt + int(self.pairs[list(pairs(said))].sum(dtype=np.int32))
