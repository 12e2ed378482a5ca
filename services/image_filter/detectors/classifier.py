"""Explicit content by any `transformers` image classifier whose labels are mapped to categories (ViT, timm, …).

Torch and transformers are imported only where one is configured; the rest of the room starts without them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from services.core.artifacts import folder_sha256, load_folder
from services.core.errors import ConfigurationError, Unavailable
from services.core.imaging import Rgb
from services.core.signals import ModelVersion
from services.image_filter.detectors import Found
from services.image_filter.detectors.labels import map_labels, signals_of
from services.image_filter.detectors.presets import Preset

_INDEPENDENT = "multi_label_classification"


class ImageClassifier:
    """Looks at the whole picture; thread-safe."""

    def __init__(
        self, network: Any, processor: Any, labels: Mapping[int, str], model: ModelVersion, licence: str
    ) -> None:
        """`labels` maps outputs of the network to categories; outputs that are not in it are not read."""
        self._network = network
        self._processor = processor
        self._labels = labels
        self._exclusive = network.config.problem_type != _INDEPENDENT
        self.model = model
        self.licence = licence
        self.categories = frozenset(labels.values())

    def detect(self, batch: Sequence[Rgb], found: Sequence[Found]) -> list[Found]:  # noqa: ARG002 - the protocol's
        """The probability of each category, in one run of the network; Unavailable where it fails."""
        try:
            rows = self._scores(batch)
        except Exception as error:  # of whatever type: the libraries raise many, and none may pass for an answer
            raise Unavailable(f"{self.model.source} cannot look at the picture", reason="BROKEN_DETECTOR") from error
        return [signals_of(row, self._labels, self._exclusive, self.model) for row in rows]

    def close(self) -> None:
        """Nothing is held."""

    def _scores(self, batch: Sequence[Rgb]) -> list[list[float]]:
        import torch

        inputs = self._processor(images=[Image.fromarray(picture) for picture in batch], return_tensors="pt")
        with torch.inference_mode():
            logits = self._network(**inputs.to(self._network.device)).logits.float()
        scores: list[list[float]] = (logits.softmax(-1) if self._exclusive else logits.sigmoid()).tolist()
        return scores


def load_classifier(preset: Preset) -> ImageClassifier:
    """The model in the folder at `preset.uri` (see `load_folder`), on the GPU where there is one.

    ConfigurationError where it is another than was meant, lacks weights, or has a label that stands for nothing.
    """
    folder = load_folder(preset.uri, preset.sha256)
    network, processor = _open(folder, preset.uri)
    labels = map_labels(
        preset.uri, [network.config.id2label[at] for at in range(network.config.num_labels)], preset.labels
    )
    model = ModelVersion(preset.preset or "image-model", folder.name[:12], folder_sha256(folder))
    return ImageClassifier(network, processor, labels, model, preset.licence)


def _open(folder: Path, uri: str) -> tuple[Any, Any]:
    try:
        import torch

        from services.core.torch_compat import guard_torchvision

        guard_torchvision()
        from transformers import AutoImageProcessor, AutoModelForImageClassification
    except ImportError as error:
        raise ConfigurationError(f"model {uri}: needs `pip install 'portcullis[image-models]'` ({error})") from error
    try:
        network, loading = AutoModelForImageClassification.from_pretrained(
            folder, use_safetensors=True, local_files_only=True, trust_remote_code=False, output_loading_info=True
        )
        processor = AutoImageProcessor.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, ImportError) as error:
        raise ConfigurationError(f"model {uri}: cannot be loaded: {error}") from error
    require_weights(uri, loading)
    return network.eval().to("cuda" if torch.cuda.is_available() else "cpu"), processor


def require_weights(uri: str, loading: Mapping[str, Any]) -> None:
    """Refuses a checkpoint that left part of its network at random: it would answer, and mean nothing by it."""
    if lacking := [*loading["missing_keys"], *loading["mismatched_keys"]]:
        raise ConfigurationError(f"model {uri}: its checkpoint lacks weights, {sorted(map(str, lacking))[0]} for one")
