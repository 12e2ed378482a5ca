from __future__ import annotations

import time

import pytest

from services.core.errors import InvalidInput
from services.core.store.terms import Term
from services.prompt_filter.term_bank import TermBank, compile_pattern
from services.prompt_filter.words import fold_in_place, words_of


def found(text: str, *terms: Term) -> list[str]:
    folded = fold_in_place(text)
    hits, _ = TermBank(terms, "bank").search(folded, words_of(text, folded))
    return [text[hit.start : hit.end] for hit in hits]


def term(text: str, kind: str = "exact", **more: object) -> Term:
    return Term(text, kind, "spam", 0.9, **more)  # type: ignore[arg-type]


def test_an_entry_inside_a_longer_word_is_no_match() -> None:
    assert found("the town of scunthorpe, thorped or thorpe2", term("thorpe")) == []


def test_case_accents_and_hyphens_do_not_matter() -> None:
    assert found("BEYONCE Knowles Carter sings", term("Beyoncé Knowles-Carter")) == ["BEYONCE Knowles Carter"]


def test_of_overlapping_entries_the_longest_counts_once() -> None:
    assert found("a bad word here", term("bad"), term("bad word")) == ["bad word"]


def test_a_letter_that_folds_to_several_moves_no_place() -> None:
    assert found("Straße İ darn", term("darn")) == ["darn"]


def test_a_fuzzy_term_forgives_its_distance_and_leaves_english_words_alone() -> None:
    fuzzy = term("zorblax", "fuzzy", distance=1)
    assert found("zorblex, zorblaxx and zrblx", fuzzy) == ["zorblex", "zorblaxx"]
    assert found("a comb", term("combs", "fuzzy", distance=1)) == []


def test_a_pattern_matches_whole_words() -> None:
    assert found("acme12 and acmes12", term(r"acme\d+", "re2")) == ["acme12"]


@pytest.mark.parametrize(
    "pattern", ["(", "a**", "(?P<a>", r"(a)\1", "(?=a)", "a{1001}", "((a{30}){30}){30}", "x*", "", ")("]
)
def test_a_pattern_that_re2_does_not_take_or_that_is_empty_is_refused(pattern: str) -> None:
    with pytest.raises(InvalidInput):
        compile_pattern(pattern)


def test_a_regex_bomb_takes_linear_time() -> None:
    begin = time.perf_counter()
    assert found("a" * 4000 + "!", term("(a+)+b", "re2")) == []
    assert time.perf_counter() - begin < 0.5


@pytest.mark.parametrize(("text", "there"), [("buy cheap acme", True), ("acme one two three cheap", False)])
def test_a_term_with_near_needs_one_of_these_words_nearby(text: str, there: bool) -> None:
    assert bool(found(text, term("acme", near=("cheap",), within=2))) is there


@pytest.mark.parametrize(("text", "there"), [("acme tools museum", False), ("acme tools", True)])
def test_a_term_with_not_near_must_not_have_them_nearby(text: str, there: bool) -> None:
    assert bool(found(text, term("acme", not_near=("museum",), within=2))) is there
