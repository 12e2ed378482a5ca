"""A small head on both embeddings of a pair: what an operator's labelled pairs teach that no sentence says.

One logistic regression a concept over the product and the absolute difference of both unit vectors
(features as in Conneau et al., 2017), made by `python -m training.combo.head`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from services.core.artifacts import file_sha256
from services.core.errors import ConfigurationError
from services.core.policy.concepts import CONCEPTS, is_own
from services.core.signals import ModelVersion, Signal

Vector = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class PairHead:
    """`weight` float32 (C, 2·dim), `bias` (C,), of `concepts` C names."""

    concepts: tuple[str, ...]
    weight: Vector
    bias: Vector
    model: ModelVersion

    @classmethod
    def load(cls, path: Path, dim: int) -> PairHead:
        """Reads the .npz that training wrote; ConfigurationError where it does not fit embeddings of `dim` numbers."""
        try:
            with np.load(path, allow_pickle=False) as file:
                names, weight, bias = (file[name] for name in ("concepts", "weight", "bias"))
        except (OSError, ValueError, KeyError) as error:
            raise ConfigurationError(f"pair head {path.name} cannot be read: {error}") from error
        concepts = tuple(str(name) for name in names)
        if unknown := [name for name in concepts if name not in CONCEPTS and not is_own(name)]:
            raise ConfigurationError(f"pair head {path.name}: the policy does not know {', '.join(unknown)}")
        if weight.shape != (len(concepts), 2 * dim) or bias.shape != (len(concepts),):
            raise ConfigurationError(f"pair head {path.name}: was made for another encoder than this one")
        return cls(concepts, weight, bias, ModelVersion("pair-head", "1", file_sha256(path)))

    def measure(self, picture: Vector, text: Vector) -> tuple[Signal, ...]:
        """The probability of each concept for a pair of unit vectors (dim,)."""
        scores = 1 / (1 + np.exp(-(self.weight @ features(picture, text) + self.bias)))
        return tuple(
            Signal(name, float(score), self.model.source) for name, score in zip(self.concepts, scores, strict=True)
        )


def features(picture: Vector, text: Vector) -> Vector:
    """float32 (…, 2·dim) of unit vectors (…, dim)."""
    return np.concatenate([picture * text, np.abs(picture - text)], axis=-1)
