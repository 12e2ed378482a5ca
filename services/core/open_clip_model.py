"""Opens an open_clip checkpoint from files that were checked; open_clip and torch are imported only then."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from services.core.errors import ConfigurationError

# The names under which open_clip looks for a checkpoint in a folder.
_CONFIG, _WEIGHTS = "open_clip_config.json", "open_clip_model.safetensors"

Tokenize = Callable[[Sequence[str]], Any]
"""Sentences → token ids, int64 (n, context)."""


def require_open_clip(called: str) -> None:
    """Raises ConfigurationError where open_clip or torch is not installed; to be called before either is imported."""
    try:
        from services.core.torch_compat import guard_torchvision

        guard_torchvision()
        import open_clip  # noqa: F401 - whether it is there
    except ImportError as error:
        raise ConfigurationError(f"{called}: needs `pip install 'portcullis[open-clip]'` ({error})") from error


def open_clip_model(weights: Path, config: Path, called: str) -> tuple[Any, Any]:
    """Network in evaluation mode and image transform of a checkpoint with its open_clip_config.json.

    `called` is what messages call it. Raises ConfigurationError where it cannot be loaded.
    """
    if weights.suffix != ".safetensors":
        raise ConfigurationError(f"{called} {weights.name}: only .safetensors is read; a pickle could run code")
    with _folder(called, {_CONFIG: config, _WEIGHTS: weights}) as folder:
        import open_clip

        network, preprocess = open_clip.create_model_from_pretrained(f"local-dir:{folder}")
    return network.eval(), preprocess


def open_clip_tokenizer(config: Path, tokenizer: Path | None, called: str) -> Tokenize:
    """CLIP's own tokenizer, or the tokenizer.json that goes with a configuration which names another one.

    Raises ConfigurationError where the configuration wants the one and is given the other, or it cannot be read.
    """
    with _folder(called, {_CONFIG: config}) as folder:
        import open_clip

        text = json.loads(config.read_text(encoding="utf-8"))["model_cfg"]["text_cfg"]
        if bool(text.get("hf_tokenizer_name")) != (tokenizer is not None):
            needs = (
                "CLIP's own tokenizer and no other" if tokenizer else "its own tokenizer.json: set it and its sha256"
            )
            raise ConfigurationError(f"{called}: {config.name} wants {needs}")
        if tokenizer is None:
            clips_own: Tokenize = open_clip.get_tokenizer(f"local-dir:{folder}")
            return clips_own
        return _read_tokenizer(tokenizer, int(text["context_length"]), int(text.get("pad_id", 0)), called)


def _read_tokenizer(path: Path, context: int, pad_id: int, called: str) -> Tokenize:
    import torch
    from tokenizers import Tokenizer

    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # tokenizers raises nothing more telling
        raise ConfigurationError(f"{called} {path.name} is no tokenizer.json: {error}") from error
    tokenizer.enable_truncation(context)
    tokenizer.enable_padding(length=context, pad_id=pad_id)

    def tokenize(sentences: Sequence[str]) -> Any:
        return torch.tensor([encoded.ids for encoded in tokenizer.encode_batch(list(sentences))])

    return tokenize


@contextmanager
def _folder(called: str, files: dict[str, Path]) -> Iterator[str]:
    """A passing folder with `files` under the names that open_clip looks for; what goes wrong is a wrong setting."""
    require_open_clip(called)
    try:
        with tempfile.TemporaryDirectory() as folder:
            for name, path in files.items():
                (Path(folder) / name).symlink_to(path.absolute())
            yield folder
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError) as error:
        raise ConfigurationError(f"{called} cannot be loaded: {error}") from error
