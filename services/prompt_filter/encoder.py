"""The text encoder: MiniLM in int8, run by onnxruntime on one thread."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
from tokenizers import Tokenizer

# Tokens a window holds beside its two marks, and how far the next one starts.
WINDOW, STRIDE = 62, 40


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of a text that the encoder reads at once: its token ids, and where it stands in the text."""

    ids: tuple[int, ...]
    start: int
    end: int


class Encoder:
    """Loads once; thread-safe."""

    def __init__(self, model: Path, tokenizer: Path) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
        self._tokenizer = Tokenizer.from_file(str(tokenizer))
        self._first, self._last = self._tokenizer.encode("").ids  # its two marks

    def windows(self, text: str) -> list[Window]:
        """The text in overlapping windows, one if it fits."""
        encoding = self._tokenizer.encode(text, add_special_tokens=False)
        ids, offsets = encoding.ids, encoding.offsets
        if len(ids) <= WINDOW:
            return [Window((self._first, *ids, self._last), 0, len(text))]
        starts = range(0, len(ids) - WINDOW + STRIDE, STRIDE)
        return [
            Window(
                (self._first, *ids[at : at + WINDOW], self._last),
                offsets[at][0],
                offsets[min(at + WINDOW, len(ids)) - 1][1],
            )
            for at in starts
        ]

    def embed(self, window: Window) -> np.ndarray:
        """float32 (D,): the token means of the last layers."""
        (embedding,) = self._session.run(None, {"ids": np.array([window.ids], np.int64)})
        return np.asarray(embedding[0], np.float32)
