"""The half of an open_clip model that sees: a picture as a unit vector. Torch is imported only where one is opened."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from services.core.artifacts import file_sha256, load_artifact
from services.core.imaging import Rgb
from services.core.open_clip_model import open_clip_model, require_open_clip
from services.core.open_clip_onnx import OnnxSight, open_clip_transform


class ImageEncoder:
    """Sees pictures; thread-safe. `digest` (64 hex digits) is that of all that decides what comes out."""

    def __init__(self, network: Any, preprocess: Any, digest: str) -> None:
        self.digest = digest
        self._network = network
        self._preprocess = preprocess

    def look(self, rgb: Rgb) -> NDArray[np.float32]:
        """A picture's unit vector, float32 (dim,); `rgb` is (height, width, 3) uint8. Blocking."""
        import torch

        with torch.inference_mode():
            batch = self._preprocess(Image.fromarray(rgb)).unsqueeze(0)
            vector: NDArray[np.float32] = self._network.encode_image(batch, normalize=True)[0].numpy()
        return vector


def load_image_encoder(uri: str, sha256: str, config: str, config_sha256: str, called: str) -> ImageEncoder:
    """Opens a checkpoint (.safetensors, or .onnx for the half that sees) with its open_clip_config.json.

    `called` is what messages call it. ConfigurationError where a file is not there, not the one meant, or no model.
    From then on this process gives torch one thread a picture.
    """
    require_open_clip(called)
    import torch

    torch.set_num_threads(1)  # requests run side by side; two threads that fight for a busy core take 30 times as long
    weights, described = load_artifact(uri, sha256), load_artifact(config, config_sha256)
    if weights.suffix == ".onnx":
        network, preprocess = OnnxSight(weights, called), open_clip_transform(described, called)
    else:
        network, preprocess = open_clip_model(weights, described, called)
    both = file_sha256(weights) + file_sha256(described)
    return ImageEncoder(network, preprocess, hashlib.sha256(both.encode()).hexdigest())
