from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from services.prompt_filter.culprit import loudest


def silent(_: str) -> float:
    return 0.0


def blamed(text: str, **shares: float) -> str | None:
    """What is to blame where each word is a token with its share, 0 for those that are not named."""
    words = list(re.finditer(r"\S+", text))
    found = loudest(text, [word.span() for word in words], [shares.get(word.group(), 0.0) for word in words], silent)
    return text[slice(*found)] if found else None


def test_the_loudest_word_is_to_blame() -> None:
    assert blamed("a man kills a dragon", kills=3.0, man=0.4) == "kills"


def test_a_neighbour_almost_as_loud_belongs_to_it() -> None:
    assert blamed("a pool of red liquid here", red=2.0, liquid=3.0) == "red liquid"


def test_function_words_are_never_to_blame() -> None:
    assert blamed("the picture of a corpse", the=5.0, picture=4.0, corpse=1.0) == "corpse"


def test_a_group_of_people_is_never_to_blame_alone() -> None:
    assert blamed("gay people are disgusting", gay=4.0, disgusting=2.0) == "disgusting"


def test_what_a_word_says_by_itself_counts_too() -> None:
    assert loudest(
        "a calm bomb", [(0, 1), (2, 6), (7, 11)], [0.0, 0.2, 0.1], {"bomb": 4.0, "calm": 0.0}.__getitem__
    ) == (
        7,
        11,
    )


def test_where_no_word_speaks_for_it_none_is_named() -> None:
    assert blamed("a calm lake", calm=-1.0) is None


def test_a_word_of_several_tokens_is_named_whole() -> None:
    text = "a decapitated doll"
    assert loudest(text, [(0, 1), (2, 7), (7, 13), (14, 18)], [0.0, 1.0, 1.5, 0.5], silent) == (2, 13)


def test_tokens_of_a_later_window_leave_the_words_before_it_out() -> None:
    text = "blood and water"
    assert loudest(text, [(10, 15)], [0.1], silent) == (10, 15)


@given(st.text(max_size=60), st.lists(st.floats(-5, 5), max_size=20))
def test_any_text_has_a_place_inside_itself_or_none(text: str, shares: list[float]) -> None:
    places = [(at, at + 2) for at in range(0, len(text) - 1, 2)][: len(shares)]
    found = loudest(text, places, shares[: len(places)], silent)
    assert found is None or 0 <= found[0] < found[1] <= len(text)
