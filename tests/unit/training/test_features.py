"""What a candidate is fitted and measured on is what the service will say."""

from __future__ import annotations

import io
import math

import numpy as np
import pytest

from services.core.artifacts import MODELS
from services.prompt_filter.pipeline import PromptPipeline
from services.prompt_filter.settings import PromptFilterSettings
from training.prompt_filter.features import Model

HEADS = (MODELS / "prompt" / "heads.npz").read_bytes()
TEXTS = ["two men brawl in a kitchen", "a b0wl of fru1t", "v o t e for the mayor", "a long text about nothing. " * 40]


@pytest.fixture(scope="module")
def model() -> Model:
    return Model(MODELS / "prompt" / "encoder.onnx", MODELS / "prompt" / "tokenizer.json", HEADS, "shipped")


@pytest.fixture(scope="module")
def pipeline() -> PromptPipeline:
    return PromptPipeline.load(PromptFilterSettings())


@pytest.mark.parametrize("size", [0.0, 0.05], ids=["as it is", "moved"])
def test_the_service_scores_as_it_was_computed(model: Model, pipeline: PromptPipeline, size: float) -> None:
    # Given heads that were moved a little, some of them up and some down
    readings = model.read(TEXTS)
    steps = np.random.default_rng(1).normal(scale=size, size=readings.features.shape[1:]).astype(np.float32)
    # When the service runs them
    served = pipeline.with_heads(model.moved(steps))
    said = [
        {signal.category: signal.score for signal in served.measure(text).signals if "classifier" in signal.source}
        for text in TEXTS
    ]
    # Then it says what was computed without it
    computed = [
        {name: 1 / (1 + math.exp(-logit)) for name, logit in zip(model.categories, row, strict=True)}
        for row in readings.scores(steps)
    ]
    for served_scores, scores in zip(said, computed, strict=True):
        assert served_scores == pytest.approx(scores, abs=1e-4)


def test_nothing_but_the_heads_of_the_categories_is_moved(model: Model) -> None:
    steps = np.ones(model.read(["a fox"]).features.shape[1:], np.float32)
    before, after = (np.load(io.BytesIO(data), allow_pickle=False) for data in (HEADS, model.moved(steps)))
    kept = {name for name in before.files if np.array_equal(before[name], after[name])}
    assert set(before.files) - kept == {"weight", "bias"}
    assert np.array_equal(before["weight"][-1], after["weight"][-1])  # whether anything at all is wrong
