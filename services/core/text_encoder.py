"""Text encoders: MiniLM in int8, run by onnxruntime on one thread."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
from tokenizers import Tokenizer

# Tokens a window holds beside its two marks, and how far the next one starts.
WINDOW, STRIDE = 126, 80


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of a text that the encoder reads at once: its token ids with both marks, and where in the text the
    tokens between the marks stand.
    """

    ids: tuple[int, ...]
    places: tuple[tuple[int, int], ...]


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
        ids, places = encoding.ids, encoding.offsets
        return [
            Window((self._first, *ids[at : at + WINDOW], self._last), tuple(places[at : at + WINDOW]))
            for at in range(0, max(1, len(ids) - WINDOW + STRIDE), STRIDE)
        ]

    def states(self, window: Window) -> np.ndarray:
        """float32 (T, D): what the last layer says of each token between the marks."""
        (states,) = self._session.run(None, {"ids": np.array([window.ids], np.int64)})
        return np.asarray(states[0, 1:-1], np.float32)
