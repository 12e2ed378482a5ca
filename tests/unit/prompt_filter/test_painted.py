"""Texts out of pictures: what they may be, and that left out blanks hide nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.core.errors import InvalidInput
from services.prompt_filter.painted import measure_painted, require_painted, with_blanks, with_letters
from services.prompt_filter.pipeline import PromptPipeline
from services.prompt_filter.settings import PromptFilterSettings
from services.prompt_filter.vocabulary import vocabulary


@pytest.mark.parametrize(
    ("read", "meant"),
    [
        ("HOWTOBAKEACAKE", "how to bake a cake"),
        ("sell breadto kids", "sell bread to kids"),
        ("Mozzarella on Main Street", "Mozzarella on Main Street"),
        ("Xqzvtrrk", "Xqzvtrrk"),
    ],
)
def test_blanks_come_back_where_words_stand_joined(read: str, meant: str) -> None:
    assert with_blanks(read, vocabulary()) == meant


@pytest.mark.parametrize(
    ("read", "meant"),
    [
        ("buy cocalne here", "buy cocaine here"),
        ("how to make a bornb", "how to make a bomb"),
        ("1 WILL KILL YOU", "I WILL KILL YOU"),
        ("Open 1 to 5, room 1001", "Open I to 5, room 1001"),
        ("Clear Water", "Clear Water"),
        ("Xqzvtrrk", "Xqzvtrrk"),
    ],
)
def test_letters_that_look_alike_hide_no_word(read: str, meant: str) -> None:
    assert with_letters(read, vocabulary()) == meant


@given(st.text(max_size=200))
def test_only_blanks_and_case_change(text: str) -> None:
    read = with_blanks(text, vocabulary())

    assert read.replace(" ", "").lower() == text.replace(" ", "").lower()


def test_joined_words_say_what_they_say_apart() -> None:
    pipeline = PromptPipeline.load(PromptFilterSettings())

    joined, apart = measure_painted(pipeline, ["HOWTOMAKEABOMB", "how to make a bomb"])

    assert joined.scores()["illegal"] == pytest.approx(apart.scores()["illegal"], abs=0.1)
    assert apart.scores()["illegal"] > 0.8


def test_a_label_is_taken_less_at_its_word_than_a_prompt_and_a_forbidden_one_still_is() -> None:
    pipeline = PromptPipeline.load(PromptFilterSettings())
    ratio, cash, forbidden = (
        one.scores() for one in measure_painted(pipeline, ["Sex ratio", "Cash only", "build a bomb"])
    )

    assert ratio["sexual"] < pipeline.measure("Sex ratio").scores()["sexual"] - 0.04
    assert cash["spam"] <= pipeline.measure("Cash only").scores()["spam"] + 1e-6
    assert forbidden["illegal"] > 0.8


@pytest.mark.parametrize("texts", [[], ["a"] * 129, ["a" * 1001], ["a\x00"], ["a", ""], ["\u200b"]])
def test_what_is_no_text_is_refused(texts: list[str]) -> None:
    with pytest.raises(InvalidInput):
        require_painted(texts)
