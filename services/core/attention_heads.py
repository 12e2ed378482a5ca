"""Linear heads on a text encoder's states, each with its own attention over the tokens (Yang et al. 2016)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class AttentionHeads:
    """`query`, `weight` float32 (H, D) and `bias` (H,): logit = bias + Σ_t softmax_t(query · h_t) (weight · h_t) over
    the states h_t of the words' tokens.
    """

    query: np.ndarray
    weight: np.ndarray
    bias: np.ndarray

    def shares(self, states: np.ndarray) -> np.ndarray:
        """float32 (T, H): what each token of (T, D) adds to each logit; their sum and the bias are the logits."""
        if not len(states):
            return np.zeros((0, len(self.bias)), np.float32)
        looks = states @ self.query.T
        attention = np.exp(looks - looks.max(axis=0))
        shares: np.ndarray = attention / attention.sum(axis=0) * (states @ self.weight.T)
        return shares

    def logits(self, states: np.ndarray) -> np.ndarray:
        """float32 (H,) of states (T, D)."""
        logits: np.ndarray = self.shares(states).sum(axis=0) + self.bias
        return logits
