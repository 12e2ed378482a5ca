from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.core.errors import ConfigurationError
from services.prompt_filter.gate import LONGEST, Gate
from services.prompt_filter.ngrams import BUCKETS, pairs

SETTLED = {"violence": 0.01}


@pytest.fixture
def gate() -> Gate:
    weights = np.zeros(BUCKETS, np.int8)
    weights[list(pairs(["red", "pool"]))] = 90
    return Gate({"a": -10, "fox": -20, "red": 5, "pool": 5, "knife": 60}, weights, 10, SETTLED)


def test_known_harmless_words_are_settled(gate: Gate) -> None:
    assert gate.scores("A red fox") == SETTLED


@pytest.mark.parametrize(
    "text",
    ["a knife", "a red pool", "a fox and a dog", "", "  ", "a fox " * LONGEST],
    ids=["a word", "a pair of harmless words", "an unknown word", "nothing", "a blank", "too long"],
)
def test_everything_else_is_left_open(gate: Gate, text: str) -> None:
    assert gate.scores(text) is None


def test_a_word_said_twice_counts_once(gate: Gate) -> None:
    assert gate.doubt("fox") == gate.doubt("fox fox")


def test_a_file_that_is_no_gate_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "gate.npz", words=np.array(["fox"]))
    with pytest.raises(ConfigurationError, match="no gate of this filter"):
        Gate.load(tmp_path / "gate.npz")


@given(st.text(max_size=100))
def test_any_text_is_settled_or_open(text: str) -> None:
    weights = np.zeros(BUCKETS, np.int8)
    assert Gate({}, weights, 10, SETTLED).scores(text) is None
