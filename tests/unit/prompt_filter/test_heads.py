from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from services.core.errors import ConfigurationError
from services.prompt_filter.heads import Heads
from services.prompt_filter.ngrams import BUCKETS


def arrays(*categories: str) -> dict[str, np.ndarray]:
    heads = len(categories) + 1
    return {
        "categories": np.array(categories),
        "query": np.zeros((heads, 4), np.float32),
        "weight": np.ones((heads, 4), np.float32),
        "bias": np.zeros(heads, np.float32),
        "ngram_weights": np.zeros((BUCKETS, heads), np.int8),
        "ngram_scales": np.ones(heads, np.float32),
        "ngram_bias": np.zeros(heads, np.float32),
        "mix": np.tile(np.array([1.0, 0.5, 0.25, 0.0, -1.0], np.float32), (len(categories), 1)),
    }


def load(tmp_path: Path, parts: dict[str, np.ndarray]) -> Heads:
    np.savez(tmp_path / "heads.npz", **parts)
    return Heads.load(tmp_path / "heads.npz")


def test_a_head_without_a_query_weighs_all_tokens_alike(tmp_path: Path) -> None:
    heads = load(tmp_path, arrays("hate"))
    states = np.array([[1, 0, 0, 0], [0, 3, 0, 0]], np.float32)
    assert heads.shares(states).sum(axis=0).tolist() == [2.0, 2.0]


def test_a_query_turns_the_head_to_the_tokens_it_looks_for(tmp_path: Path) -> None:
    parts = arrays("hate")
    parts["query"][0, 1] = 50
    states = np.array([[1, 0, 0, 0], [0, 3, 0, 0]], np.float32)
    assert load(tmp_path, parts).shares(states).sum(axis=0) == pytest.approx([3.0, 2.0])


def test_what_violates_anything_raises_every_category(tmp_path: Path) -> None:
    heads = load(tmp_path, arrays("hate", "sexual"))
    quiet = heads.calibrated(np.array([0.0, 0.0, 0.0]), np.zeros(3))
    loud = heads.calibrated(np.array([0.0, 0.0, 4.0]), np.zeros(3))
    assert (loud - quiet).tolist() == [1.0, 1.0]


def test_a_model_with_categories_that_no_policy_knows_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="astrology"):
        load(tmp_path, arrays("astrology"))


def test_a_file_that_is_no_model_of_this_filter_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no model of this filter"):
        load(tmp_path, {"categories": np.array(["hate"])})


def test_a_model_whose_parts_do_not_fit_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="do not fit"):
        load(tmp_path, arrays("hate") | {"mix": np.zeros((2, 5), np.float32)})
