"""Opens an open_clip checkpoint from files that were checked; open_clip and torch are imported only then."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from services.core.errors import ConfigurationError

# The names under which open_clip looks for a checkpoint in a folder.
_CONFIG, _WEIGHTS = "open_clip_config.json", "open_clip_model.safetensors"


def open_clip_model(weights: Path, config: Path, called: str) -> tuple[Any, Any, Any]:
    """Network in evaluation mode, image transform and tokenizer of a checkpoint with its open_clip_config.json.

    `called` is what messages call it. Raises ConfigurationError where it cannot be loaded.
    """
    from services.core.torch_compat import guard_torchvision

    guard_torchvision()
    import open_clip

    if weights.suffix != ".safetensors":
        raise ConfigurationError(f"{called} {weights.name}: only .safetensors is read; a pickle could run code")
    try:
        text = json.loads(config.read_text(encoding="utf-8"))["model_cfg"]["text_cfg"]
        if "hf_tokenizer_name" in text:
            raise ConfigurationError(f"{called} {weights.name}: only models with CLIP's own tokenizer are supported")
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / _CONFIG).symlink_to(config.absolute())
            (Path(folder) / _WEIGHTS).symlink_to(weights.absolute())
            network, preprocess = open_clip.create_model_from_pretrained(f"local-dir:{folder}")
            tokenize = open_clip.get_tokenizer(f"local-dir:{folder}")
    except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise ConfigurationError(f"{called} {weights.name} cannot be loaded: {error}") from error
    return network.eval(), preprocess, tokenize
