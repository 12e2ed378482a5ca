"""A second opinion on doubtful pictures: ShieldGemma 2 by URI, asked whether a picture is sexually explicit.

Zeng et al., "ShieldGemma 2: Robust and Tractable Image Content Moderation", 2025: the score is the probability of "Yes"
against "No" as the next token. It is the measurement `concept.picture_opinion`: a rule may have a person look at what
it calls explicit, and no rule may refuse by it (`services/core/policy/concepts.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from services.core.artifacts import folder_sha256, load_folder
from services.core.errors import ConfigurationError, Unavailable
from services.core.imaging import Rgb
from services.core.signals import ModelVersion, Signal
from services.image_filter.detectors import Found
from services.image_filter.detectors.classifier import require_weights
from services.image_filter.detectors.labels import signals_of

CATEGORY = "concept.picture_opinion"
_POLICY = "sexual"
# Where the detectors before it are neither sure that nothing is there nor that something is.
_DOUBT = (0.1, 0.9)


class SecondOpinion:
    """Asks the model about pictures in doubt, one after the other; thread-safe."""

    categories = frozenset({CATEGORY})
    licence = "LicenseRef-Gemma"

    def __init__(self, network: Any, processor: Any, model: ModelVersion) -> None:
        self._network = network
        self._processor = processor
        self.model = model

    def detect(self, batch: Sequence[Rgb], found: Sequence[Found]) -> list[Found]:
        """The probability that the model calls a picture explicit; nothing for one that is in no doubt."""
        return [self._ask(picture) if doubtful(seen) else () for picture, seen in zip(batch, found, strict=True)]

    def close(self) -> None:
        """Nothing is held."""

    def _ask(self, picture: Rgb) -> tuple[Signal, ...]:
        try:
            yes = self._yes(picture)
        except Exception as error:  # of whatever type: the libraries raise many, and none may pass for an answer
            raise Unavailable(f"{self.model.source} cannot look at the picture", reason="BROKEN_DETECTOR") from error
        return signals_of([yes], {0: CATEGORY}, False, self.model)

    def _yes(self, picture: Rgb) -> float:
        import torch

        inputs = self._processor(images=[Image.fromarray(picture)], policies=[_POLICY], return_tensors="pt")
        with torch.inference_mode():
            # Not its `probabilities`: in half precision they are too coarse to be told from a broken score.
            logits = self._network(**inputs.to(self._network.device, self._network.dtype)).logits[0].float()
        return float(logits.softmax(-1)[0])


def doubtful(seen: Found) -> bool:
    """Whether what was seen leaves open if the picture is explicit."""
    score = max((signal.score for signal in seen if signal.category == "sexual"), default=0.0)
    return _DOUBT[0] <= score < _DOUBT[1]


def load_opinion(uri: str, sha256: str) -> SecondOpinion:
    """The model at `uri` (see `load_folder`), on the GPU where there is one; ConfigurationError where it cannot be."""
    folder = load_folder(uri, sha256)
    network, processor = _open(folder, uri)
    return SecondOpinion(network, processor, ModelVersion("opinion", folder.name[:12], folder_sha256(folder)))


def _open(folder: Path, uri: str) -> tuple[Any, Any]:
    try:
        import torch

        from services.core.torch_compat import guard_torchvision

        guard_torchvision()
        from transformers import AutoProcessor, ShieldGemma2ForImageClassification
    except ImportError as error:
        raise ConfigurationError(f"model {uri}: needs `pip install 'portcullis[image-models]'` ({error})") from error
    try:
        network, loading = ShieldGemma2ForImageClassification.from_pretrained(
            folder,
            use_safetensors=True,
            local_files_only=True,
            trust_remote_code=False,
            dtype="auto",
            output_loading_info=True,
        )
        processor = AutoProcessor.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, ImportError) as error:
        raise ConfigurationError(f"model {uri}: cannot be loaded: {error}") from error
    require_weights(uri, loading)
    return network.eval().to("cuda" if torch.cuda.is_available() else "cpu"), processor
