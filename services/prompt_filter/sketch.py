"""The sketch of a prompt: a few bits of which near-duplicates share most.

Each bit says on which side of a hyperplane the text's embedding lies; two texts differ in a bit as often as the angle
between them is wide (Charikar, "Similarity Estimation Techniques from Rounding Algorithms", 2002). The hyperplanes are
the axes through the middle of ordinary prompts: embeddings of any two texts point much the same way, so that as seen
from the origin all would look alike (unrelated prompts differ in 31 bits of 384 there, and in 155 here).
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

import numpy as np

from services.core.text_encoder import Encoder

SCENES = Path(__file__).parent / "data" / "scenes.txt"


class Sketcher:
    """Sketches on one encoder; another encoder's mean nothing beside them."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder

    def sketch(self, text: str) -> bytes:
        """The signs of the embedding, a bit each: 48 bytes with the house's encoder; empty without a token."""
        states = self._states(text)
        return np.packbits(states.mean(axis=0) > self._middle).tobytes() if len(states) else b""

    @cached_property
    def _middle(self) -> np.ndarray:
        """The mean embedding of ordinary prompts, float32 (D,)."""
        scenes = SCENES.read_text(encoding="utf-8").splitlines()
        return np.asarray(np.mean([self._states(scene).mean(axis=0) for scene in scenes], axis=0), np.float32)

    def _states(self, text: str) -> np.ndarray:
        """What the encoder says of each token, float32 (T, D)."""
        return np.concatenate([self._encoder.states(window) for window in self._encoder.windows(text)])
