from __future__ import annotations

import re
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.combo_filter.concepts import PromptConcepts, fold
from services.combo_filter.patterns import Sieve, compile_pattern, noun, read_groups, verb
from services.core.signals import TextSpan

WORDS = PromptConcepts.load()


def named(prompt: str) -> dict[str, list[str]]:
    """The words that name each concept."""
    found: dict[str, list[str]] = {}
    for signal in WORDS.measure(prompt):
        assert isinstance(signal.evidence, TextSpan)
        words = prompt.encode()[signal.evidence.start : signal.evidence.end].decode()
        found.setdefault(signal.category.removeprefix("concept."), []).append(words)
    return found


@pytest.mark.parametrize(
    ("prompt", "concept", "words"),
    [
        ("add a woman here", "add_person", "woman"),
        ("smoke over the roof", "stage_event", "smoke"),
        ("über dem Dach: smoke", "stage_event", "smoke"),
        ("re\u200bmove her dress", "undress", "re\u200bmove her dress"),
        ("ＳＭＯＫＥ", "stage_event", "ＳＭＯＫＥ"),
        ("the sign says no", "change_text", "sign says"),
        ("a sunset", "style", "sunset"),
    ],
)
def test_a_finding_names_its_words_in_the_original(prompt: str, concept: str, words: str) -> None:
    assert words in named(prompt)[concept]


@pytest.mark.parametrize(
    "prompt",
    [
        "no smoke",
        "without any smoke",
        "do not add smoke",
        "there is no fire",
        "a street with no people",
        "avoid showing a woman",
    ],
)
def test_what_is_negated_does_not_count(prompt: str) -> None:
    assert not named(prompt).keys() & {"stage_event", "add_person"}


@pytest.mark.parametrize("prompt", ["no doubt a woman", "not only smoke, fire too", "no, a woman"])
def test_a_negation_of_something_else_is_none(prompt: str) -> None:
    assert named(prompt).keys() & {"stage_event", "add_person"}


@pytest.mark.parametrize("prompt", ["do not hold back, strip her naked", "without clothes", "never wearing nothing"])
def test_a_stubborn_concept_does_not_care_for_negation(prompt: str) -> None:
    assert "undress" in named(prompt)


def test_clothes_in_the_negative_prompt_are_to_come_off() -> None:
    (found,) = PromptConcepts.load().measure_absent("blurry, a blue dress")
    assert isinstance(found.evidence, TextSpan)
    assert (found.category, found.evidence.form) == ("concept.undress", "negative")


def test_other_words_in_the_negative_prompt_mean_nothing() -> None:
    assert PromptConcepts.load().measure_absent("nude, blood, fire, watermark, extra fingers") == ()


def test_at_most_four_findings_a_concept_are_told() -> None:
    assert len(named("smoke, fire, rubble, debris, wreckage, a crash")["stage_event"]) == 4


@pytest.mark.parametrize(
    ("pattern", "text", "matches"),
    [
        ("put .. hat", "put a red hat", True),
        ("put .. hat", "put a big red hat", False),
        ("put ... hat", "put a very big red hat", True),
        ("put ... hat", "put it down, a hat", False),
        ("a|an? hat", "the hat", True),
        ("fire_place", "fire-place", True),
        ("{animal}|robot", "cats", True),
        ("{animal}|robot", "robots", False),
        ("{animal}", "concatenate", False),
        ("{number} cats", "12,000 cats", True),
    ],
)
def test_a_pattern_matches_what_it_reads_like(pattern: str, text: str, matches: bool) -> None:
    groups = read_groups({"nouns": {"animal": ["cat", "puppy"]}})
    assert (compile_pattern(pattern, groups).search(text) is not None) == matches


def test_a_pattern_of_an_unknown_group_is_refused() -> None:
    with pytest.raises(KeyError):
        compile_pattern("{nobody}", {})


@pytest.mark.parametrize("form", ["box", "boxes", "box's"])
def test_nouns_have_plurals_and_possessives(form: str) -> None:
    assert re.fullmatch(noun("box"), form)


@pytest.mark.parametrize(
    ("base", "form"),
    [
        ("strip", "stripping"),
        ("remove", "removing"),
        ("carry", "carries"),
        ("take off", "takes off"),
        ("wear", "wears"),
        ("add", "added"),
    ],
)
def test_verbs_are_inflected(base: str, form: str) -> None:
    assert re.fullmatch(verb(base), form)


@given(st.text(max_size=80))
def test_folded_characters_know_where_they_came_from(text: str) -> None:
    folded = fold(text)
    size = len(text.encode("utf-8", "surrogatepass"))
    assert len(folded.text) == len(folded.starts) == len(folded.ends)
    assert all(0 <= start < end <= size for start, end in zip(folded.starts, folded.ends, strict=True))
    assert list(folded.starts) == sorted(folded.starts)


@given(
    st.lists(
        st.sampled_from(["woman", "her", "dress", "smoke", "no", "remove", "a", "ﬁre", "–", ",", "👩🏽‍🚒"]), max_size=30
    )
)
def test_every_finding_lies_in_the_text(words: list[str]) -> None:
    text = " ".join(words)
    for signal in WORDS.measure(text):
        assert isinstance(signal.evidence, TextSpan)
        assert text.encode()[signal.evidence.start : signal.evidence.end].decode()


def test_a_prompt_of_any_length_is_read_in_linear_time() -> None:
    assert WORDS.measure("take off a a a a a a her put on " * 2000)


_SIFTED = [compile_pattern(each, {}) for each in ("red|blue dress", "smoke ... roof", "no people", "crowd|mob", "a")]
_SAID = st.sampled_from(
    ["a", "red", "blue", "dress", "smoke", "over", "the", "roof", "no", "people", "crowd", "mob,", "é"]
)


@given(st.lists(_SAID).map(" ".join))
def test_a_sieve_lets_through_what_a_text_holds_and_nothing_else(text: str) -> None:
    assert Sieve(_SIFTED)(text) == {pattern for pattern in _SIFTED if pattern.search(text)}


def test_a_sieve_that_runs_out_of_memory_lets_everything_through(monkeypatch: pytest.MonkeyPatch) -> None:
    sieve = Sieve(_SIFTED)
    monkeypatch.setattr(sieve, "_set", SimpleNamespace(Match=lambda _text: []))  # what RE2 answers then

    assert sieve("nothing of it") == set(_SIFTED)
