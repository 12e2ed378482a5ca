from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.core.artifacts import MODELS
from services.core.text_encoder import STRIDE, WINDOW, Encoder, Window


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return Encoder(MODELS / "prompt" / "encoder.onnx", MODELS / "prompt" / "tokenizer.json")


def test_a_short_text_is_one_window(encoder: Encoder) -> None:
    (window,) = encoder.windows("a red fox")
    assert [("a red fox")[start:end] for start, end in window.places] == ["a", "red", "fox"]


def test_a_long_text_is_read_whole_in_windows_that_overlap(encoder: Encoder) -> None:
    text = "fox " * (3 * WINDOW)
    windows = encoder.windows(text)
    assert all(len(window.places) <= WINDOW for window in windows)
    assert {place for window in windows for place in window.places} == {(at, at + 3) for at in range(0, len(text), 4)}
    for one, other in pairwise(windows):
        assert set(one.places[STRIDE:]) == set(other.places[: WINDOW - STRIDE])


def test_a_text_without_a_word_has_no_states(encoder: Encoder) -> None:
    (window,) = encoder.windows("")
    assert encoder.states(window).shape[0] == 0


def test_every_token_between_the_marks_has_a_state(encoder: Encoder) -> None:
    (window,) = encoder.windows("a red fox")
    states = encoder.states(window)
    assert states.shape[0] == len(window.places)
    assert np.isfinite(states).all()


@settings(max_examples=30, deadline=None)
@given(st.text(max_size=300))
def test_any_text_has_places_inside_itself(encoder: Encoder, text: str) -> None:
    for window in encoder.windows(text):
        assert isinstance(window, Window)
        assert all(0 <= start <= end <= len(text) for start, end in window.places)
