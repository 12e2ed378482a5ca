"""An open_clip model as two ONNX files, for processors: `training.combo.export` makes them, in int8."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from services.core.errors import ConfigurationError
from services.core.open_clip_model import require_open_clip

LOGIT_SCALE = "logit_scale"  # the key of the scale's logarithm among the image file's metadata


class OnnxSight:
    """The tower that sees, with the call that open_clip's own model has; thread-safe."""

    def __init__(self, image: Path, called: str) -> None:
        """Opens the file; ConfigurationError, in which the model is `called` so, where it is no such file."""
        self._image = _session(image, called)

    def encode_image(self, pixels: Any, normalize: bool) -> Any:
        """float32 (N, 3, side, side) → (N, dim)."""
        return _run(self._image, pixels, normalize)


class OnnxClip(OnnxSight):
    """Both towers, with the calls that open_clip's own model has; thread-safe."""

    def __init__(self, image: Path, text: Path, called: str) -> None:
        """Opens both files; ConfigurationError, in which the model is `called` so, where one is no such file."""
        require_open_clip(called)
        import torch

        super().__init__(image, called)
        self._text = _session(text, called)
        scale = self._image.get_modelmeta().custom_metadata_map.get(LOGIT_SCALE)
        if scale is None:
            raise ConfigurationError(f"{called} {image.name}: has no {LOGIT_SCALE}; `training.combo.export` writes it")
        self.logit_scale = torch.tensor(float(scale))

    def encode_text(self, ids: Any, normalize: bool) -> Any:
        """int64 (N, context) → (N, dim)."""
        return _run(self._text, ids, normalize)


def open_clip_transform(config: Path, called: str) -> Any:
    """What makes a picture (PIL) the input that a configuration asks for; ConfigurationError where it asks for none."""
    require_open_clip(called)
    from open_clip.transform import PreprocessCfg, image_transform_v2

    try:
        document = json.loads(config.read_text(encoding="utf-8"))
        size = document["model_cfg"]["vision_cfg"]["image_size"]
        return image_transform_v2(PreprocessCfg(**{"size": size, **document["preprocess_cfg"]}), is_train=False)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigurationError(f"{called} {config.name} cannot be read: {error}") from error


def _session(path: Path, called: str) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime raises a class a fault
        raise ConfigurationError(f"{called} {path.name} is no ONNX model: {error}") from error


def _run(session: Any, batch: Any, normalize: bool) -> Any:
    import torch

    (vectors,) = session.run(None, {session.get_inputs()[0].name: batch.numpy()})
    vectors = torch.from_numpy(vectors)
    return torch.nn.functional.normalize(vectors, dim=-1) if normalize else vectors
