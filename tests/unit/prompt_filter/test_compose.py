from __future__ import annotations

import pytest

from services.prompt_filter.compose import minors_score


@pytest.mark.parametrize(
    "text", ["a child on a swing", "a teenager reading", "12 year old pupils", "schoolchildren", "aged 15"]
)
def test_beside_a_word_of_age_the_sexual_score_counts_in_full(text: str) -> None:
    assert minors_score(text, 0.4)[0] == 0.4


def test_a_word_that_adults_are_called_by_too_counts_in_part() -> None:
    assert 0 < minors_score("a girl at the window", 0.8)[0] < 0.8


@pytest.mark.parametrize(
    "text",
    ["a woman at the beach", "a kidney", "my girlfriend", "18 years old whisky", "a young man", "220 years old oak"],
)
def test_without_a_word_of_age_nothing_is_composed(text: str) -> None:
    assert minors_score(text, 0.99) == (0.0, None)


def test_a_harmless_text_about_children_scores_next_to_nothing() -> None:
    assert minors_score("children playing football in a park", 0.01)[0] <= 0.01


def test_the_word_of_age_is_named() -> None:
    _, place = minors_score("two schoolchildren on a bus", 0.5)
    assert place == (4, 18)
