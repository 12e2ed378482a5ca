from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.prompt_filter.ngrams import BUCKETS, NgramModel, buckets


def model_that_hates(word: str) -> NgramModel:
    weights = np.zeros((BUCKETS, 2), np.int8)
    for row in buckets(word):
        weights[row, 1] = 100
    return NgramModel(weights, np.full(2, 0.05, np.float32), np.full(2, -3, np.float32))


def test_the_loudest_word_is_found_where_it_stands() -> None:
    text = "a quiet, Terrible thing"
    assert model_that_hates("terrible").heaviest(text, 1) == (9, 17)


def test_where_nothing_speaks_for_a_category_no_word_is_named() -> None:
    assert model_that_hates("terrible").heaviest("a terrible thing", 0) is None


def test_a_word_raises_only_its_own_category() -> None:
    model = model_that_hates("terrible")
    quiet, loud = model.logits("a quiet thing"), model.logits("a terrible thing")
    assert loud[1] > quiet[1]
    assert loud[0] == pytest.approx(quiet[0])


def test_without_words_only_the_bias_counts() -> None:
    assert model_that_hates("terrible").logits("  ").tolist() == [-3, -3]


@given(st.text(max_size=80))
def test_every_bucket_and_place_is_in_range(text: str) -> None:
    for row, places in buckets(text).items():
        assert 0 <= row < BUCKETS
        assert all(0 <= start < end <= len(text.lower()) for start, end in places)
