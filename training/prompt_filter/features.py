"""The model as what a candidate may change of it: a weight a feature of each category, on features that stay."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from services.core.text_encoder import Encoder
from services.prompt_filter.heads import Heads
from services.prompt_filter.normalize import plain, undress
from services.prompt_filter.vocabulary import vocabulary


@dataclass(frozen=True, slots=True)
class Readings:
    """N texts as the model reads them, in W windows (a long text has several, a disguised one a second form).

    `features` float32 (W, C, D + 1): the states as each category's head weighs them, and 1; `logits` float32 (W, C),
    calibrated and less what a long text is allowed, of the model in force; `text` int (W,): whose window it is.
    """

    count: int
    features: np.ndarray = field(repr=False)
    logits: np.ndarray = field(repr=False)
    text: np.ndarray = field(repr=False)

    def scores(self, steps: np.ndarray | None = None) -> np.ndarray:
        """Calibrated logits (N, C), the worst of each text's windows; after `steps` (C, D + 1) if there are any."""
        logits = self.logits if steps is None else self.logits + np.einsum("wcd,cd->wc", self.features, steps)
        worst = np.full((self.count, logits.shape[1]), -np.inf, np.float32)
        np.maximum.at(worst, self.text, logits)
        return worst

    def loudest(self, category: int) -> np.ndarray:
        """int (N,): the window by which each text is judged."""
        order = np.lexsort((-self.logits[:, category], self.text))
        return np.asarray(order[np.unique(self.text[order], return_index=True)[1]])


class Model:
    """An encoder with the heads (.npz) of `data`, called `name`; ConfigurationError where they do not fit this code."""

    def __init__(self, encoder: Path, tokenizer: Path, data: bytes, name: str) -> None:
        self._encoder = Encoder(encoder, tokenizer)
        self._heads = Heads.read(data, name)
        self._data = data
        self.name = name

    @property
    def categories(self) -> tuple[str, ...]:
        """C names."""
        return self._heads.categories

    @property
    def slopes(self) -> np.ndarray:
        """float32 (C,): how much a step of a category's own head moves its calibrated logit."""
        return np.asarray(self._heads.mix[:, 0])

    def read(self, texts: Sequence[str]) -> Readings:
        """Every form of every text, as the pipeline would score it."""
        windows = [(number, *window) for number, text in enumerate(texts) for window in self._windows(text)]
        shape = (len(windows), len(self.categories), self._heads.weight.shape[1] + 1)
        features = np.array([features for _, features, _ in windows], np.float32).reshape(shape)
        logits = np.array([logits for _, _, logits in windows], np.float32).reshape(shape[:2])
        return Readings(len(texts), features, logits, np.array([number for number, _, _ in windows], int))

    def _windows(self, text: str) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """The features (C, D + 1) and the calibrated logits (C,) of each window of each form of a text."""
        heads, original = self._heads, plain(text)
        for form in dict.fromkeys((original.text, undress(original, vocabulary()).text)):
            windows = self._encoder.windows(form)
            for window in windows:
                states = self._encoder.states(window)
                start, end = (window.places[0][0], window.places[-1][1]) if window.places else (0, 0)
                logits = heads.calibrated(heads.logits(states), heads.ngrams.logits(form[start:end]))
                pooled = np.pad(self._pooled(states), ((0, 0), (0, 1)), constant_values=1)
                yield pooled, logits - np.log(len(windows))

    def moved(self, steps: np.ndarray) -> bytes:
        """The .npz of heads whose calibrated logits have changed by `steps` (C, D + 1); every other array as it is."""
        with np.load(io.BytesIO(self._data), allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        raw = np.divide(steps, self.slopes[:, None], out=np.zeros_like(steps), where=steps != 0)
        weight, bias = self._heads.weight.copy(), self._heads.bias.copy()
        weight[:-1] += raw[:, :-1]
        bias[:-1] += raw[:, -1]
        written = io.BytesIO()
        np.savez_compressed(written, allow_pickle=False, **(arrays | {"weight": weight, "bias": bias}))
        return written.getvalue()

    def _pooled(self, states: np.ndarray) -> np.ndarray:
        """float32 (C, D): the states (T, D) as each head weighs them; its logit is linear in these."""
        heads = self._heads
        if not len(states):
            return np.zeros_like(heads.weight[:-1])
        looks = heads.query[:-1] @ states.T
        attention = np.exp(looks - looks.max(axis=1, keepdims=True))
        return np.asarray(attention / attention.sum(axis=1, keepdims=True) @ states)
