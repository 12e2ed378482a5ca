"""A larger text classifier by URI: any `transformers` sequence classifier whose labels are mapped to our categories.

Torch and transformers are imported only where one is configured; the rest of the room starts without them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from services.core.artifacts import folder_sha256, load_folder
from services.core.errors import ConfigurationError
from services.core.policy.categories import CATEGORIES, IMAGE_ONLY, PAIR_ONLY, TEXT_ONLY
from services.core.signals import ModelVersion, Signal
from services.prompt_filter.classifier import SOURCE, Scored

_TOKENS, _STRIDE = 256, 192
_IGNORED = ""


class SequenceClassifier:
    """Scores of the categories that the model knows; thread-safe."""

    def __init__(self, network: Any, tokenizer: Any, labels: Mapping[int, str], model: ModelVersion) -> None:
        """`labels` maps outputs of the network to categories; outputs that are not in it are not read."""
        self._network = network
        self._tokenizer = tokenizer
        self._labels = labels
        self.model = model

    @property
    def categories(self) -> frozenset[str]:
        """What it scores."""
        return frozenset(self._labels.values())

    def sign(self, signal: Signal) -> Signal:
        """`signal` under this model's name, if it is the classifier's score of a category that this model knows."""
        mine = signal.source == SOURCE and signal.category in self.categories
        return replace(signal, source=self.model.source) if mine else signal

    def overrule(self, own: Scored, text: str) -> Scored:
        """`own` with this model's scores of the categories that it knows."""
        return replace(own, scores=own.scores | self.scores(text))

    def scores(self, text: str) -> dict[str, float]:
        """Probability 0…1 of each category: the worst of overlapping windows of 256 tokens and of labels that share it.

        Independent labels are read by a sigmoid, exclusive ones (`problem_type` single_label_classification) by a
        softmax.
        """
        import torch

        windows = self._tokenizer(
            text,
            max_length=_TOKENS,
            stride=_TOKENS - _STRIDE,
            truncation=True,
            padding=True,
            return_overflowing_tokens=True,
            return_tensors="pt",
        )
        windows.pop("overflow_to_sample_mapping", None)
        with torch.inference_mode():
            logits = self._network(**windows.to(self._network.device)).logits.float()
        exclusive = self._network.config.problem_type == "single_label_classification"
        worst = (logits.softmax(-1) if exclusive else logits.sigmoid()).amax(dim=0).tolist()
        best: dict[str, float] = {}
        for index, category in self._labels.items():
            best[category] = max(worst[index], best.get(category, 0.0))
        return best


def load_sequence_classifier(uri: str, sha256: str, labels: Mapping[str, str]) -> SequenceClassifier:
    """The model at `uri` (see `load_folder`), on the GPU where there is one.

    `labels` maps each label of the model to a category, or to nothing where it is not to be read; a label that is a
    category's name needs no entry. Raises ConfigurationError where a label is left over or a category is unknown.
    """
    folder = load_folder(uri, sha256)
    network, tokenizer = _open(folder, uri)
    mapped = _map(uri, network.config.id2label, labels)
    return SequenceClassifier(
        network, tokenizer, mapped, ModelVersion("text-model", folder.name, folder_sha256(folder))
    )


def _open(folder: Path, uri: str) -> tuple[Any, Any]:
    try:
        import torch
        from transformers import AutoModelForSequenceClassification, AutoTokenizer

        from services.core.torch_compat import guard_torchvision
    except ImportError as error:
        raise ConfigurationError(f"model {uri}: needs `pip install 'portcullis[text-models]'` ({error})") from error
    guard_torchvision()
    try:
        network = AutoModelForSequenceClassification.from_pretrained(
            folder, use_safetensors=True, local_files_only=True, trust_remote_code=False
        )
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise ConfigurationError(f"model {uri}: cannot be loaded: {error}") from error
    return network.eval().to("cuda" if torch.cuda.is_available() else "cpu"), tokenizer


def _map(uri: str, own: Mapping[int, str], labels: Mapping[str, str]) -> dict[int, str]:
    """Output → category."""
    given = {name: labels.get(name, name if name in CATEGORIES else None) for name in own.values()}
    if lost := sorted(name for name, category in given.items() if category is None):
        raise ConfigurationError(
            f"model {uri}: its labels {', '.join(lost)} match no category; map each to one, or to nothing"
        )
    allowed = frozenset(CATEGORIES) - IMAGE_ONLY - PAIR_ONLY - TEXT_ONLY - {"sexual.minors"}
    if unknown := sorted({category for category in given.values() if category} - allowed):
        raise ConfigurationError(f"model {uri}: labels are mapped to {', '.join(unknown)}, which no text model scores")
    mapped = {index: str(given[name]) for index, name in own.items() if given[name] != _IGNORED}
    if not mapped:
        raise ConfigurationError(f"model {uri}: none of its labels is mapped to a category")
    return mapped
