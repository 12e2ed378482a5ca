"""Revised prompts: only of people of whom nothing is said, by the policy's weights, the same for the same seed."""

from __future__ import annotations

import re
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from services.core.policy.diversity_rules import Axis, DiversityRules
from services.gateway.diversity import revise
from services.gateway.unspecified import word_lists
from services.prompt_filter import word_lists as names

DESCENT = {"Asian": 0.3, "Black": 0.3, "European": 0.25, "White": 0.15}
GENDER = {"female": 0.5, "male": 0.5}
MIXED = "of different ethnicities"
RULES = DiversityRules(
    axes=[
        Axis(phrases=DESCENT),
        Axis(phrases=GENDER),
        Axis(place="after", phrases={"in their sixties": 0.2, "": 0.8}),
        Axis(people="several", place="after", phrases={MIXED: 1.0}),
    ]
)
LISTS = word_lists()
PHRASES = sorted([*DESCENT, *GENDER, "in their sixties", MIXED], key=len, reverse=True)

# What is told of somebody, or of when and where; and what makes it another thing, or none of our business.
_SPECIFIC = """
    man woman men women girl boy lady guy male female he she his her mother father wife husband sister brother
    daughter son
    king queen prince monk nun priest rabbi imam cowboy waitress actress fireman
    african asian black white brown european latino hispanic indian chinese mexican american jewish muslim christian
    arab
    young old elderly teenage teenager child children kid baby toddler student schoolgirl middle-aged 40-year-old
    sarah muhammad wei named called mr dr famous celebrity president
    roman medieval victorian ancient viking renaissance 1920s 1943 wwii nazi colonial historical vintage soldier knight
    no not without never nobody
    doctor's "doctor" 'nurse' (person) person:1.3 says sign caption
    criminal beggar poor naked gun dirty monkey watermelon
    médecin doktor 医生 elf
"""
SPECIFIC = sorted(set(_SPECIFIC.split()))


@st.composite
def unspecified(draw: st.DrawFn) -> str:
    """A prompt about one person or several of whom it says nothing."""
    modifiers = draw(st.lists(st.sampled_from(sorted(LISTS["modifiers"])), max_size=2))
    follower = draw(st.sampled_from(["", ".", ", ", *(f" {word}" for word in sorted(LISTS["followers"]))]))
    plain = draw(st.lists(st.sampled_from(sorted(LISTS["plain"])), max_size=4))
    if draw(st.booleans()):
        lead, who = draw(st.sampled_from(["a ", "An ", "photo of one ", "In a park, a "])), draw(people("one"))
    else:
        lead, who = draw(st.sampled_from(["", "two ", "a group of ", "In a park, "])), draw(people("several"))
    # A plain word right behind them might say who they are ("accountants 3d"): there is a mark between.
    between = follower or ("," if plain else "")
    return lead + " ".join([*modifiers, who]) + between + "".join(f" {word}" for word in plain)


def people(section: str) -> st.SearchStrategy[str]:
    return st.sampled_from(sorted(LISTS[section]))


def seeds() -> st.SearchStrategy[int]:
    return st.integers(0, 2**53 - 5)


def without_phrases(text: str) -> str:
    """The text as it was before phrases came in and articles followed them."""
    for phrase in PHRASES:
        text = re.sub(rf" ?\b{phrase}\b", "", text, count=1)
    return articles_alike(text).strip()


def articles_alike(text: str) -> str:
    return re.sub(r"\b([Aa])n\b", r"\1", text)


@pytest.mark.parametrize(
    ("prompt", "revised"),
    [
        ("A photo of a CEO", "A photo of a Black female CEO"),
        ("An engineer", "An Asian female engineer"),
        ("a smiling nurse in a corridor", "a European female smiling nurse in a corridor"),
        ("one tall chef, cooking", "one White male tall chef, cooking"),
        ("two firefighters in a truck", f"two firefighters {MIXED} in a truck"),
        ("People walking in a park.", f"People {MIXED} walking in a park."),
        ("a crowd of tourists", f"a crowd of tourists {MIXED}"),
    ],
)
def test_a_phrase_goes_where_it_is_read_well(prompt: str, revised: str) -> None:
    assert revise(prompt, "", RULES, 12) == revised


@pytest.mark.parametrize(
    ("phrase", "article"), [("Asian", "an"), ("European", "a"), ("Ugandan", "a"), ("Indian", "an")]
)
def test_the_article_follows_the_phrase(phrase: str, article: str) -> None:
    rules = DiversityRules(axes=[Axis(phrases={phrase: 1.0})])

    assert revise("a doctor", "", rules, 1) == f"{article} {phrase} doctor"


@pytest.mark.parametrize(
    "prompt",
    [
        "the doctor",  # a certain one
        "doctor who",
        "a chef hat",
        "a person of interest",
        "a plague doctor",
        "a robot chef",
        "a doctor and a nurse",  # who is who?
        "two chefs, three tourists",
        "a people",
        "no people in a park",
        "A Doctor in a Hospital",  # a title
        "a doctor in Paris",
        "DOCTOR",
        "a doctor (smiling:1.2)",
        "a doctor; a park",
        "a person like Rose",
        "Rose is a doctor",
        "an empty street",
        "",
    ],
)
def test_in_doubt_a_prompt_stays(prompt: str) -> None:
    assert revise(prompt, "", RULES, 1) is None


@settings(deadline=None)
@given(unspecified(), seeds())
def test_nothing_is_changed_but_the_phrases_and_an_article(prompt: str, seed: int) -> None:
    revised = revise(prompt, "blurry, bad anatomy", RULES, seed)

    assert revised is not None
    assert without_phrases(revised) == articles_alike(prompt).strip()


@settings(deadline=None)
@given(st.text(max_size=200), seeds())
def test_any_text_at_all_stays_or_only_grows(prompt: str, seed: int) -> None:
    revised = revise(prompt, prompt, RULES, seed)

    assert revised is None or without_phrases(revised) == articles_alike(prompt).strip()


@settings(deadline=None)
@given(unspecified(), seeds())
def test_the_same_seed_says_the_same(prompt: str, seed: int) -> None:
    assert revise(prompt, "", RULES, seed) == revise(prompt, "", RULES, seed)


@settings(deadline=None)
@given(unspecified(), st.sampled_from(SPECIFIC), st.integers(0, 20), seeds())
def test_what_says_more_of_anybody_stays(prompt: str, word: str, place: int, seed: int) -> None:
    words = prompt.split(" ")
    words.insert(place % (len(words) + 1), word)

    assert revise(" ".join(words), "", RULES, seed) is None


@settings(deadline=None)
@given(unspecified(), st.sampled_from(SPECIFIC), seeds())
def test_what_shall_not_be_shown_says_something_too(prompt: str, word: str, seed: int) -> None:
    assert revise(prompt, f"blurry, {word}", RULES, seed) is None


@settings(deadline=None)
@given(unspecified(), st.text("abcdefghijklmnopqrstuvwxyz", min_size=1), st.integers(0, 20))
def test_a_word_that_nobody_listed_is_a_doubt(prompt: str, word: str, place: int) -> None:
    words = prompt.split(" ")
    words.insert(place % (len(words) + 1), word)
    listed = any(word in words for words in LISTS.values())

    assert listed or revise(" ".join(words), "", RULES, 1) is None


def test_what_is_said_follows_the_weights() -> None:
    drawn = Counter(str(revise("a photo of a doctor", "", RULES, seed)) for seed in range(6_000))

    counted = {
        phrase: sum(count for text, count in drawn.items() if f" {phrase} " in text) for phrase in (*DESCENT, *GENDER)
    }
    for weights in (DESCENT, GENDER):
        found = chisquare([counted[phrase] for phrase in weights], [6_000 * weight for weight in weights.values()])
        assert found.pvalue > 0.01
    pairs = Counter({text: count for text, count in drawn.items() if "sixties" not in text})
    expected = [d * g * pairs.total() for d in DESCENT.values() for g in GENDER.values()]
    ordered = [pairs[f"a photo of {'an' if d == 'Asian' else 'a'} {d} {g} doctor"] for d in DESCENT for g in GENDER]
    assert chisquare(ordered, expected).pvalue > 0.01  # one does not tell the other


def test_of_two_prompts_with_one_seed_each_draws_for_itself() -> None:
    both = [(revise("a doctor", "", RULES, seed), revise("a nurse", "", RULES, seed)) for seed in range(100)]

    assert any("female" in str(one) and " male" in str(other) for one, other in both)


def test_the_order_in_which_weights_are_written_says_nothing() -> None:
    turned = DiversityRules(axes=[Axis(phrases=dict(reversed(DESCENT.items())))])
    rules = DiversityRules(axes=[Axis(phrases=DESCENT)])

    assert all(revise("a doctor", "", rules, seed) == revise("a doctor", "", turned, seed) for seed in range(50))


def test_a_prompt_of_which_no_axis_speaks_stays() -> None:
    assert revise("two doctors", "", DiversityRules(axes=[Axis(phrases=DESCENT)]), 1) is None


def test_no_listed_word_is_a_name_or_says_who_somebody_is() -> None:
    words = set().union(*LISTS.values())

    assert not words & (names.lists()["first"] | set(SPECIFIC))
