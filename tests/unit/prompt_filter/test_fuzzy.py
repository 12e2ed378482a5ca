from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from rapidfuzz.distance import OSA

from services.prompt_filter.fuzzy import Spellings, allowance, corrections

WORDS = st.text("abcdefgh", min_size=1, max_size=12)


@given(st.lists(WORDS, max_size=20), WORDS)
def test_every_word_within_one_edit_is_near(known: list[str], word: str) -> None:
    near = dict(Spellings(known).near(word))
    if len(word) >= 4:
        assert {k for k in known if allowance(k) and OSA.distance(k, word) == 1} <= near.keys()
    assert all(OSA.distance(k, word) == edits <= allowance(k) for k, edits in near.items())


def test_a_long_word_forgives_two_edits_and_a_short_one_none() -> None:
    spellings = Spellings(["schwarzenegger", "kim", "mary"])
    assert spellings.near("shwarzeneger") == [("schwarzenegger", 2)]
    assert spellings.near("kin") == spellings.near("may3x") == []


def test_a_cap_of_one_edit_holds_for_long_words() -> None:
    assert Spellings(["schwarzenegger"], 1).near("shwarzeneger") == []


def test_corrections_need_every_word_and_at_least_one_edit() -> None:
    candidates = [[("donald", 1)], [("trump", 0)], [], [("trump", 0)]]
    assert list(corrections(candidates, [1, 2], 2)) == [(0, ("donald",), 1), (0, ("donald", "trump"), 1)]
