"""The joint encoder: an open_clip model that scores what a picture shows against sentences (zero-shot).

Torch and open_clip are imported only where an encoder is configured; the rest of the room starts without them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from PIL import Image

from services.combo_filter.concept_bank import Bank, read_bank
from services.combo_filter.head import PairHead
from services.combo_filter.settings import ComboFilterSettings
from services.core.artifacts import file_sha256, load_artifact
from services.core.imaging import Rgb
from services.core.open_clip_model import Tokenize, open_clip_model, open_clip_tokenizer
from services.core.open_clip_onnx import OnnxClip, open_clip_transform
from services.core.signals import ModelVersion, Signal

_AT_ONCE = 256  # sentences
_CALLED = "joint encoder"


class JointEncoder(Protocol):
    """What sees a picture with words: any model behind one call."""

    @property
    def model(self) -> ModelVersion:
        """Name, version and digest of the weights."""
        ...

    def measure(self, rgb: Rgb, prompt: str) -> tuple[Signal, ...]:
        """`concept.*` signals of a picture, (height, width, 3) uint8, each 0 … 1: what it shows, also beside a text."""
        ...


@dataclass(frozen=True, slots=True)
class _Encoded:
    """A bank's sentences as unit vectors, each sentence once, and which of them say yes and no of each concept."""

    vectors: Any  # torch.Tensor (sentences, dim)
    sides: Mapping[str, tuple[list[int], list[int]]]


class OpenClipEncoder:
    """Zero-shot concept scores by an open_clip checkpoint (Radford et al. 2021)."""

    def __init__(self, network: Any, preprocess: Any, tokenize: Tokenize, bank: Bank, model: ModelVersion) -> None:
        self.head: PairHead | None = None
        self._network = network
        self._preprocess = preprocess
        self._tokenize = tokenize
        self._model = model
        self._encoded = self._encode(bank)

    @property
    def model(self) -> ModelVersion:
        """Name, version and digest of the weights."""
        return self._model

    def use(self, bank: Bank) -> None:
        """Looks for another bank's concepts from now on; blocking."""
        self._encoded = self._encode(bank)

    def measure(self, rgb: Rgb, prompt: str = "") -> tuple[Signal, ...]:
        """The probability of every concept of the bank: what its sentences under yes take of the softmax over all."""
        import torch

        encoded = self._encoded
        with torch.inference_mode():
            vector = self.look(rgb)
            logits = self._network.logit_scale.exp() * (encoded.vectors @ vector)
            scores = [
                (name, float(torch.sigmoid(logits[yes].logsumexp(0) - logits[no].logsumexp(0))))
                for name, (yes, no) in encoded.sides.items()
            ]
        source = f"{self._model.name}/{self._model.version}"
        seen = tuple(Signal(name, score, source) for name, score in scores)
        if self.head is None or not prompt:
            return seen
        return seen + self.head.measure(vector.numpy(), self.read([prompt])[0].numpy())

    def look(self, rgb: Rgb) -> Any:
        """The picture's unit vector, a tensor (dim,)."""
        image = self._preprocess(Image.fromarray(rgb)).unsqueeze(0)
        return self._network.encode_image(image, normalize=True)[0].detach()

    def read(self, texts: list[str]) -> Any:
        """The texts' unit vectors, a tensor (N, dim)."""
        return self._network.encode_text(self._tokenize(texts), normalize=True).detach()

    def _encode(self, bank: Bank) -> _Encoded:
        import torch

        sentences = {text: at for at, text in enumerate(dict.fromkeys(_sentences(bank)))}
        texts = list(sentences)
        with torch.inference_mode():
            parts = [self.read(texts[at : at + _AT_ONCE]) for at in range(0, len(texts), _AT_ONCE)]
        sides = {
            name: ([sentences[text] for text in side.yes], [sentences[text] for text in side.no])
            for name, side in bank.items()
        }
        return _Encoded(torch.cat(parts), sides)


def _sentences(bank: Bank) -> Iterator[str]:
    for side in bank.values():
        yield from side.yes
        yield from side.no


def load_encoder(settings: ComboFilterSettings) -> OpenClipEncoder | None:
    """The encoder that `settings` name, None where they name none; ConfigurationError where it cannot be loaded."""
    if not settings.joint_encoder:
        return None
    weights = load_artifact(settings.joint_encoder, settings.joint_encoder_sha256)
    config = load_artifact(settings.joint_encoder_config, settings.joint_encoder_config_sha256)
    network, preprocess = _open(settings, weights, config)
    tokenize = open_clip_tokenizer(config, _tokenizer(settings), _CALLED)
    model = ModelVersion("open-clip", config.parent.name, file_sha256(weights))
    encoder = OpenClipEncoder(network, preprocess, tokenize, read_bank(settings.concepts), model)
    if settings.joint_head:
        head = load_artifact(settings.joint_head, settings.joint_head_sha256)
        encoder.head = PairHead.load(head, encoder.read(["a"]).shape[-1])
    return encoder


def _open(settings: ComboFilterSettings, weights: Path, config: Path) -> tuple[Any, Any]:
    """The network, of whatever kind its file is, and what makes a picture its input."""
    if weights.suffix != ".onnx":
        return open_clip_model(weights, config, _CALLED)
    text = load_artifact(settings.joint_encoder_text, settings.joint_encoder_text_sha256)
    return OnnxClip(weights, text, _CALLED), open_clip_transform(config, _CALLED)


def _tokenizer(settings: ComboFilterSettings) -> Path | None:
    uri = settings.joint_encoder_tokenizer
    return load_artifact(uri, settings.joint_encoder_tokenizer_sha256) if uri else None
