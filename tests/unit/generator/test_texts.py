from __future__ import annotations

import pytest

from services.generator.texts import tokenize
from tests.unit.generator.tiny_models import clip_tokenizer, t5_tokenizer


def test_a_short_text_is_padded_and_nothing_is_cut() -> None:
    tokens = tokenize(clip_tokenizer(), "boat", 20)
    assert (tokens.ids.shape, int(tokens.mask.sum()), tokens.cut) == ((1, 20), 6, ())


def test_a_text_of_just_the_limit_is_not_cut() -> None:
    assert tokenize(clip_tokenizer(), "a" * 18, 20).cut == ()


@pytest.mark.parametrize(
    ("text", "cut"),
    [
        ("a" * 18 + " b", ("b",)),
        ("aaaa " + "b" * 15, ("b" * 15,)),
        ("a  red\nboat, and two  Fish", ("Fish",)),
    ],
)
def test_a_word_counts_as_cut_with_its_last_letter(text: str, cut: tuple[str, ...]) -> None:
    assert tokenize(clip_tokenizer(), text, 20).cut == cut


def test_words_are_named_as_they_were_written_in_any_script() -> None:
    assert tokenize(clip_tokenizer(), "a" * 18 + " Größe 船", 20).cut == ("Größe", "船")


def test_a_sentencepiece_tokenizer_names_them_too() -> None:
    assert tokenize(t5_tokenizer(), "aaaa bbbb cccc", 12).cut == ("cccc",)


def test_an_empty_text_is_all_padding_but_its_ends() -> None:
    assert int(tokenize(clip_tokenizer(), "", 20).mask.sum()) == 2
