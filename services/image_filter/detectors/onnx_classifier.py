"""Explicit content by a classifier in one ONNX file, run by onnxruntime on the CPU."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from importlib import resources
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import ValidationError

from services.core.artifacts import file_sha256, load_artifact
from services.core.errors import ConfigurationError, Unavailable
from services.core.imaging import Rgb
from services.core.signals import ModelVersion
from services.image_filter.detectors import Found
from services.image_filter.detectors.labels import map_labels, signals_of
from services.image_filter.detectors.presets import Preset
from services.image_filter.onnx_session import open_session
from services.image_filter.settings import OnnxFormat

_BESIDE = "preprocessor_config.json"
_TRIAL: Rgb = np.zeros((64, 64, 3), np.uint8)

Numbers = NDArray[np.float32]


class OnnxClassifier:
    """Looks at the whole picture; thread-safe."""

    def __init__(
        self, session: Any, form: OnnxFormat, labels: Mapping[int, str], model: ModelVersion, licence: str
    ) -> None:
        """`labels` maps outputs of the network to categories; outputs that are not in it are not read."""
        self._session = session
        self._input = session.get_inputs()[0].name
        self._form = form
        self._labels = labels
        self.model = model
        self.licence = licence
        self.categories = frozenset(labels.values())

    def detect(self, batch: Sequence[Rgb], found: Sequence[Found]) -> list[Found]:  # noqa: ARG002 - the protocol's
        """The probability of each category, in one run of the network; Unavailable where it fails."""
        exclusive = self._form.outputs != "independent logits"
        try:
            rows = self.scores(batch)
        except Exception as error:  # of whatever type: onnxruntime raises many, and none may pass for an answer
            raise Unavailable(f"{self.model.source} cannot look at the picture", reason="BROKEN_DETECTOR") from error
        return [signals_of(row.tolist(), self._labels, exclusive, self.model) for row in rows]

    def close(self) -> None:
        """Nothing is held."""

    def scores(self, batch: Sequence[Rgb]) -> Numbers:
        """What the network says of each label, (n, labels), as probabilities."""
        ready = np.stack([prepared(picture, self._form) for picture in batch])
        out: Numbers = self._session.run(None, {self._input: ready})[0].astype(np.float32)
        match self._form.outputs:
            case "probabilities":
                return out
            case "independent logits":
                return np.asarray(1 / (1 + np.exp(-out)), np.float32)
            case "logits":
                powers = np.exp(out - out.max(-1, keepdims=True))
                normal: Numbers = powers / powers.sum(-1, keepdims=True)
                return normal


def load_onnx_classifier(preset: Preset) -> OnnxClassifier:
    """The network of `preset`: a file of its package, or the one at its URI; tried once.

    Its format is the preset's or that of a `preprocessor_config.json` beside the file. ConfigurationError where it is
    another than was meant, does not run, or has other outputs than labels.
    """
    path = load_artifact(_in_package(preset) if preset.package else preset.uri, preset.sha256)
    form = preset.onnx or _beside(path, preset.uri)
    labels = map_labels(preset.uri, list(preset.labels), preset.labels)
    model = ModelVersion(preset.preset or "image-model", path.stem, file_sha256(path))
    try:
        session = open_session(path)
        loaded = OnnxClassifier(session, form, labels, model, preset.licence)
        shape = loaded.scores([_TRIAL, _TRIAL]).shape
    except Exception as error:  # of whatever type: a file that does not run is refused
        raise ConfigurationError(f"model {preset.uri}: does not run: {error}") from error
    if shape != (2, len(preset.labels)):
        raise ConfigurationError(f"model {preset.uri}: has {shape[-1]} outputs and {len(preset.labels)} labels")
    return loaded


def prepared(picture: Rgb, form: OnnxFormat) -> Numbers:
    """The picture as the network wants it, (3, side, side) or (side, side, 3)."""
    size = form.resize or form.side
    small = Image.fromarray(picture).resize((size, size), Image.Resampling.BILINEAR)
    if form.jpeg:
        file = BytesIO()
        small.save(file, "JPEG", quality=form.jpeg)
        small = Image.open(file, formats=["JPEG"])
    edge = (size - form.side) // 2
    middle = np.asarray(small)[edge : edge + form.side, edge : edge + form.side].astype(np.float32) / np.float32(255)
    values = (middle - np.array(form.mean, np.float32)) / np.array(form.std, np.float32)
    ordered = values[..., ::-1] if form.channels == "bgr" else values
    return np.ascontiguousarray(ordered if form.layout == "nhwc" else ordered.transpose(2, 0, 1), np.float32)


def _in_package(preset: Preset) -> str:
    if find_spec(preset.package) is None:
        raise ConfigurationError(
            f"{preset.preset} is not installed: run pip install 'portcullis[{preset.extra}]' ({preset.licence})",
            reason="NO_EXPLICIT_CONTENT_DETECTOR",
        )
    return str(resources.files(preset.package) / preset.uri)


def _beside(path: Path, uri: str) -> OnnxFormat:
    """The format that a `preprocessor_config.json` in Hugging Face's layout says."""
    try:
        said = json.loads((path.parent / _BESIDE).read_text(encoding="utf-8"))
        size = said["size"]
        side = size if isinstance(size, int) else size["height"]
        return OnnxFormat(side=side, mean=said["image_mean"], std=said["image_std"])
    except FileNotFoundError as error:
        raise ConfigurationError(f"model {uri}: set its `onnx` format, or put a {_BESIDE} beside it") from error
    except (ValueError, KeyError, TypeError, ValidationError) as error:
        raise ConfigurationError(f"model {uri}: its {_BESIDE} cannot be read: {error}") from error
