"""The filters that are compared: ours by its own pipeline, and two that people use today."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from services.core.errors import InvalidInput
from services.prompt_filter.pipeline import PromptPipeline
from training.report.labelled import KNOWN
from training.report.scoring import highest


@dataclass(frozen=True, slots=True)
class Filter:
    """`scores` of texts: a column a category that it knows, 0…1, `any` among them; `one` judges a single text.

    A slow one is measured on a `share` of the texts, so that the benchmark ends.
    """

    name: str
    scores: Callable[[Sequence[str]], pd.DataFrame]
    one: Callable[[str], object]
    share: float = 1.0

    def milliseconds(self, texts: Sequence[str]) -> np.ndarray:
        """CPU time of this thread for each text, one after the other."""
        taken = np.zeros(len(texts))
        self.one(texts[0])
        for at, text in enumerate(texts):
            begin = time.thread_time()
            self.one(text)
            taken[at] = (time.thread_time() - begin) * 1000
        return taken


def ours(pipeline: PromptPipeline) -> Filter:
    """Portcullis."""

    def one(text: str) -> dict[str, float]:
        try:
            return pipeline.measure(text).scores()
        except InvalidInput:  # refused is found
            return {}

    def scores(texts: Sequence[str]) -> pd.DataFrame:
        rows = [(found := one(text)) | {"any": highest(found)} for text in texts]
        return pd.DataFrame(rows, columns=[*KNOWN, "any"]).fillna(1.0)

    return Filter("Portcullis", scores, one)


def peers() -> list[Filter]:
    """alt-profanity-check (a linear model that gives a probability) and better-profanity (a word list: yes or no)."""
    from better_profanity import profanity
    from profanity_check import predict_prob

    return [
        Filter(
            "alt-profanity-check",
            lambda texts: pd.DataFrame({"any": predict_prob(list(texts))}),
            lambda text: predict_prob([text]),
        ),
        Filter(
            "better-profanity",
            lambda texts: pd.DataFrame({"any": [float(profanity.contains_profanity(text)) for text in texts]}),
            profanity.contains_profanity,
            share=0.2,
        ),
    ]
