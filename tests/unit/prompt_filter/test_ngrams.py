from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.prompt_filter.ngrams import BUCKETS, NgramModel, buckets


def model_that_hates(word: str) -> NgramModel:
    weights = np.zeros((BUCKETS, 2), np.int8)
    weights[list(buckets(word)), 1] = 100
    return NgramModel(weights, np.full(2, 0.05, np.float32), np.full(2, -3, np.float32))


def test_a_word_raises_only_its_own_category() -> None:
    model = model_that_hates("terrible")
    quiet, loud = model.logits("a quiet thing"), model.logits("a terrible thing")
    assert loud[1] > quiet[1]
    assert loud[0] == pytest.approx(quiet[0])


def test_without_words_only_the_bias_counts() -> None:
    assert model_that_hates("terrible").logits("  ").tolist() == [-3, -3]


def test_the_order_of_words_makes_a_difference() -> None:
    assert buckets("dog bites man") != buckets("man bites dog")


@given(st.text(max_size=80))
def test_every_bucket_is_in_range(text: str) -> None:
    assert all(0 <= row < BUCKETS for row in buckets(text))
