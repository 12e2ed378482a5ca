"""The joint encoder: an open_clip model that scores what a picture shows against sentences (zero-shot).

Torch and open_clip are imported only where an encoder is configured; the rest of the room starts without them.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Protocol

import yaml
from PIL import Image

from services.combo_filter.settings import ComboFilterSettings
from services.core.artifacts import file_sha256, load_artifact
from services.core.errors import ConfigurationError
from services.core.imaging import Rgb
from services.core.open_clip_model import Tokenize, open_clip_model, open_clip_tokenizer
from services.core.policy.concepts import CONCEPTS
from services.core.signals import ModelVersion, Signal


class JointEncoder(Protocol):
    """What sees a picture with words: any model behind one call."""

    @property
    def model(self) -> ModelVersion:
        """Name, version and digest of the weights."""
        ...

    def measure(self, rgb: Rgb) -> tuple[Signal, ...]:
        """`concept.*` signals of a picture, (height, width, 3) uint8: what it shows, each 0 … 1."""
        ...


@dataclass(frozen=True, slots=True)
class _Bank:
    """The sentences of each concept as unit vectors: row 0 of (2, dim) says yes, row 1 no."""

    names: tuple[str, ...]
    vectors: Any  # torch.Tensor (concepts, 2, dim)


class OpenClipEncoder:
    """Zero-shot concept scores by an open_clip checkpoint (Radford et al. 2021, prompt ensembles)."""

    def __init__(self, network: Any, preprocess: Any, bank: _Bank, model: ModelVersion) -> None:
        self._network = network
        self._preprocess = preprocess
        self._bank = bank
        self._model = model

    @property
    def model(self) -> ModelVersion:
        """Name, version and digest of the weights."""
        return self._model

    def measure(self, rgb: Rgb) -> tuple[Signal, ...]:
        """The probability of every concept of `data/concepts.yaml`."""
        import torch

        with torch.inference_mode():
            image = self._preprocess(Image.fromarray(rgb)).unsqueeze(0)
            vector = self._network.encode_image(image, normalize=True)[0]
            logits = self._network.logit_scale.exp() * (self._bank.vectors @ vector)
            scores = logits.softmax(dim=1)[:, 0].tolist()
        source = f"{self._model.name}/{self._model.version}"
        return tuple(Signal(name, score, source) for name, score in zip(self._bank.names, scores, strict=True))


def load_encoder(settings: ComboFilterSettings) -> JointEncoder | None:
    """The encoder that `settings` name, None where they name none; ConfigurationError where it cannot be loaded."""
    if not settings.joint_encoder:
        return None
    weights = load_artifact(settings.joint_encoder, settings.joint_encoder_sha256)
    config = load_artifact(settings.joint_encoder_config, settings.joint_encoder_config_sha256)
    network, preprocess = open_clip_model(weights, config, "joint encoder")
    tokenize = open_clip_tokenizer(config, _tokenizer(settings), "joint encoder")
    model = ModelVersion("open-clip", config.parent.name, file_sha256(weights))
    return OpenClipEncoder(network, preprocess, _encode_bank(network, tokenize), model)


def _tokenizer(settings: ComboFilterSettings) -> Path | None:
    uri = settings.joint_encoder_tokenizer
    return load_artifact(uri, settings.joint_encoder_tokenizer_sha256) if uri else None


def _encode_bank(network: Any, tokenize: Tokenize) -> _Bank:
    import torch

    text = (resources.files("services.combo_filter") / "data" / "concepts.yaml").read_text(encoding="utf-8")
    concepts: dict[str, dict[str, list[str]]] = yaml.safe_load(text)
    unknown = set(concepts) - set(CONCEPTS)
    if unknown:
        raise ConfigurationError(f"concepts.yaml names concepts that the policy does not know: {sorted(unknown)}")

    def mean(sentences: list[str]) -> Any:
        return network.encode_text(tokenize(sentences), normalize=True).mean(dim=0)

    with torch.inference_mode():
        sides = torch.stack([torch.stack([mean(side["yes"]), mean(side["no"])]) for side in concepts.values()])
        return _Bank(tuple(concepts), torch.nn.functional.normalize(sides, dim=-1))
