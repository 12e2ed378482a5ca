from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.core.errors import InvalidInput
from services.generator.nearest import NearestWord
from services.generator.vocabulary import Vocabulary

KNOWN = {"a", "red", "blue", "circle", "square", "above", "on", "of"}
SYNONYMS = {"crimson": "red", "on top of": "above", "photo of": "", "ball": "circle"}


def nearest(words: Sequence[str]) -> list[str]:
    return ["" if word.startswith("z") else "circle" for word in words]


VOCABULARY = Vocabulary(KNOWN, SYNONYMS, nearest, limit=8)


def test_known_words_stay_as_they_are() -> None:
    wording = VOCABULARY.say("A red circle, above a blue square.", "")
    assert (wording.words, wording.substitutions) == ("a red circle above a blue square", ())


def test_synonyms_and_phrases_are_told() -> None:
    wording = VOCABULARY.say("a crimson ball on top of a square", "")
    assert wording.words == "a red circle above a square"
    assert wording.substitutions == ("crimson→red", "ball→circle", "on top of→above")


def test_what_has_no_meaning_to_the_model_is_left_out_and_told() -> None:
    wording = VOCABULARY.say("a photo of a red zebra", "")
    assert wording.words == "a red"
    assert wording.substitutions == ("photo of→nothing", "zebra→nothing")


def test_a_word_that_only_begins_like_a_synonym_is_not_one() -> None:
    assert VOCABULARY.say("ballroom", "").substitutions == ("ballroom→circle",)


def test_a_word_is_told_once() -> None:
    assert VOCABULARY.say("sun red sun", "").substitutions == ("sun→circle",)


def test_more_words_than_the_model_draws_are_refused() -> None:
    with pytest.raises(InvalidInput) as refusal:
        VOCABULARY.say("red blue " * 5, "")
    assert refusal.value.violation.field == "prompt"


def test_a_flood_of_words_is_refused_before_any_is_looked_up() -> None:
    with pytest.raises(InvalidInput, match="at most 77"):
        VOCABULARY.say(" ".join(f"word{index}" for index in range(78)), "")


@given(st.text(max_size=80))
def test_any_text_becomes_known_words_or_is_refused(text: str) -> None:
    try:
        wording = VOCABULARY.say(text, "")
    except InvalidInput:
        return
    assert set(wording.words.split()) <= KNOWN


def test_the_encoder_knows_what_lies_near() -> None:
    find = NearestWord(["red", "blue", "circle", "square", "below"])
    assert find(["rectangle", "sphere", "beneath", "turquoise"]) == ["square", "circle", "below", "blue"]


def test_of_a_negative_prompt_the_known_words_remain() -> None:
    wording = VOCABULARY.say("a red circle", "blurry, ugly, crimson ball, a square")
    assert wording.unwanted == "red circle a square"


def test_a_long_negative_prompt_is_cut_to_what_the_model_takes() -> None:
    wording = VOCABULARY.say("a circle", "red blue square circle above sun a on background " * 50)
    assert len(wording.unwanted.split()) <= 8
