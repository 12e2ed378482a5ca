"""Explicit content by LAION's small network on CLIP's embedding of the picture (MIT).

LAION-AI/CLIP-based-NSFW-Detector: a normalisation and three or four linear layers (`NSFWModel_B32`, `NSFWModel_L14`),
read from a safetensors file with the names of its published state dictionary: `norm.mean`, `norm.variance`,
`linear_1.weight`, `linear_1.bias`, … The encoder is the open_clip checkpoint that the head was trained on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from services.core.artifacts import file_sha256, load_artifact
from services.core.errors import ConfigurationError, Unavailable
from services.core.imaging import Rgb
from services.core.open_clip_model import open_clip_model
from services.core.signals import ModelVersion
from services.image_filter.detectors import Found
from services.image_filter.detectors.labels import map_labels, signals_of
from services.image_filter.detectors.presets import Preset
from services.image_filter.settings import ClipEncoder

_SMALL = 1e-10  # added to the deviation, as the published network does

Numbers = NDArray[np.float32]


class ClipHead:
    """Looks at the whole picture; thread-safe."""

    def __init__(
        self, network: Any, preprocess: Any, head: Head, labels: Mapping[int, str], model: ModelVersion, licence: str
    ) -> None:
        """`labels` maps the head's one output to a category."""
        self._network = network
        self._preprocess = preprocess
        self._head = head
        self._labels = labels
        self.model = model
        self.licence = licence
        self.categories = frozenset(labels.values())

    def detect(self, batch: Sequence[Rgb], found: Sequence[Found]) -> list[Found]:  # noqa: ARG002 - the protocol's
        """The probability of the category, in one run of the encoder; Unavailable where it fails."""
        try:
            scores = self._head.scores(self._embed(batch))
        except Exception as error:  # of whatever type: torch raises many, and none may pass for an answer
            raise Unavailable(f"{self.model.source} cannot look at the picture", reason="BROKEN_DETECTOR") from error
        return [signals_of([float(score)], self._labels, False, self.model) for score in scores]

    def close(self) -> None:
        """Nothing is held."""

    def _embed(self, batch: Sequence[Rgb]) -> Numbers:
        """Unit vectors, (n, dim)."""
        import torch

        with torch.inference_mode():
            pictures = torch.stack([self._preprocess(Image.fromarray(picture)) for picture in batch])
            vectors: Numbers = self._network.encode_image(pictures, normalize=True).float().numpy()
        return vectors


class Head:
    """The network on the embedding: normalise, linear layers with ReLU between them, a sigmoid at the end."""

    def __init__(self, tensors: Mapping[str, NDArray[Any]], name: str) -> None:
        """Raises ConfigurationError where `tensors` are not those of such a network with one output."""
        try:
            self._mean = tensors["norm.mean"].astype(np.float32)
            self._deviation = np.sqrt(tensors["norm.variance"].astype(np.float32)) + np.float32(_SMALL)
            self._layers = [
                (tensors[f"linear_{at}.weight"].astype(np.float32).T, tensors[f"linear_{at}.bias"].astype(np.float32))
                for at in range(1, len(tensors) // 2)
            ]
            outputs = self.scores(self._mean[None]).shape
        except (KeyError, ValueError, IndexError) as error:
            raise ConfigurationError(f"model {name}: is not the head of LAION's detector ({error})") from error
        if outputs != (1,):
            raise ConfigurationError(f"model {name}: must have one output")

    @property
    def width(self) -> int:
        """Numbers in the embedding that it reads."""
        return int(self._mean.shape[0])

    def scores(self, vectors: Numbers) -> Numbers:
        """Probability of explicit content of each embedding, (n, width) → (n,)."""
        values = (vectors - self._mean) / self._deviation
        for at, (weight, bias) in enumerate(self._layers):
            values = (np.maximum(values, 0) if at else values) @ weight + bias
        scores: Numbers = 1 / (1 + np.exp(-values))
        return scores.squeeze(-1)


def load_clip_head(preset: Preset, encoder: ClipEncoder) -> ClipHead:
    """The head at `preset.uri` (.safetensors) on the encoder; ConfigurationError where either is not what was meant."""
    path = load_artifact(preset.uri, preset.sha256)
    head = Head(_tensors(path), path.name)
    weights = load_artifact(encoder.uri, encoder.sha256)
    config = load_artifact(encoder.config, encoder.config_sha256)
    try:
        network, preprocess = open_clip_model(weights, config, "encoder")
    except ImportError as error:
        raise ConfigurationError(
            f"model {preset.uri}: needs `pip install 'portcullis[image-models]'` ({error})"
        ) from error
    labels = map_labels(preset.uri, list(preset.labels), preset.labels)
    model = ModelVersion(preset.preset or "clip-head", path.stem, file_sha256(path))
    loaded = ClipHead(network, preprocess, head, labels, model, preset.licence)
    width = loaded._embed([np.zeros((32, 32, 3), np.uint8)]).shape[1]
    if width != head.width:
        raise ConfigurationError(f"model {preset.uri}: reads {head.width} numbers, its encoder gives {width}")
    return loaded


def _tensors(path: Path) -> dict[str, NDArray[Any]]:
    if path.suffix != ".safetensors":
        raise ConfigurationError(f"model {path.name}: only .safetensors is read; a pickle could run code")
    try:
        from safetensors.numpy import load_file
    except ImportError as error:
        raise ConfigurationError(
            f"model {path.name}: needs `pip install 'portcullis[image-models]'` ({error})"
        ) from error
    try:
        tensors: dict[str, NDArray[Any]] = load_file(path)
    except Exception as error:  # safetensors raises its own
        raise ConfigurationError(f"model {path.name}: cannot be read: {error}") from error
    return tensors
