"""Names of people: spellings that are found, and the words around them that decide who is meant."""

from __future__ import annotations

import pytest

from services.core.errors import ConfigurationError
from services.prompt_filter.banks import PEOPLE, TERMS, Banks
from services.prompt_filter.name_index import NameIndex
from services.prompt_filter.people import Person, read_people
from services.prompt_filter.term_bank import TermBank

CROWD = [
    Person("Donald Trump", ("Trump",)),
    Person("J. K. Rowling"),
    Person("Kim Jong-un"),
    Person("Beyoncé"),
    Person("Shaquille O'Neal", ("Shaq",)),
    Person("Angelina Jolie"),
    Person("Taylor Swift"),
    Person("Arnold Schwarzenegger", ("Schwarzenegger",)),
    Person("Barack Obama", ("Obama",)),
    Person("Michael Jordan", ("Jordan",), hints=frozenset({"basketball", "bulls"})),
    Person("Will Smith", hints=frozenset({"actor", "fresh prince"})),
    Person("Drake", hints=frozenset({"rapper"})),
    Person("Søren Małysz"),
    Person("Bob Brushwork", maker=True),
]


def scores(text: str) -> dict[str, float]:
    bank = Banks(TermBank([], TERMS), NameIndex(CROWD, 2026, PEOPLE), "digest")
    return {text[hit.start : hit.end]: hit.entry.score for hit in bank.search(text)}


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("DONALD TRUMP IN PRISON", "DONALD TRUMP"),
        ("Donald Trump's hair", "Donald Trump"),
        ("Trump, Donald", "Trump, Donald"),
        ("donald-trump", "donald-trump"),
        ("Donald J. Trump waves", "Donald J. Trump"),
        ("a crowd of Donald Trumps", "Donald Trumps"),
        ("#donaldtrump", "donaldtrump"),
        ("@donaldtrump45", "donaldtrump45"),
        ("j. k. rowling", "j. k. rowling"),
        ("JK Rowling", "JK Rowling"),
        ("jk rowling reading", "jk rowling"),
        ("kim jong un", "kim jong un"),
        ("Kim Jongun", "Kim Jongun"),
        ("beyonce sings", "beyonce"),
        ("shaquille oneal", "shaquille oneal"),
        ("Soren Malysz", "Soren Malysz"),
    ],
)
def test_a_name_is_found_however_it_is_written(text: str, name: str) -> None:
    assert scores(text).get(name, 0) >= 0.85


@pytest.mark.parametrize(
    "text",
    [
        "Donld Trump",
        "a painting of angelina jolee",
        "Barak Obamma on a bike",
        "Tailor Swift on stage",
        "arnold shwarzeneger",
        "Taylor Swfit",
    ],
)
def test_a_misspelled_name_is_found(text: str) -> None:
    assert max(scores(text).values(), default=0) >= 0.85


@pytest.mark.parametrize(
    "text",
    [
        "trumpet and trumped",
        "the tailor was swift",
        "a swift tailor",
        "Sarah Trump",
        "Maria Jordan",
        "Jordan Miller",
        "Ronald Tromp",
        "Angela Julie",
        "Donna Trumpet",
        "a drake on a pond",
        "the Jordan River",
        "obamacare",
        "paper trumps stone",
    ],
)
def test_what_is_another_word_or_another_name_is_none(text: str) -> None:
    assert scores(text) == {}


def test_an_ambiguous_name_is_confirmed_by_a_hint_nearby() -> None:
    assert scores("jordan dunks for the bulls") == {"jordan": 0.9}
    assert scores("will smith as the fresh prince") == {"will smith": 0.95}


def test_a_capital_among_small_letters_speaks_for_a_name() -> None:
    assert scores("a portrait of Will Smith") == {"Will Smith": 0.9}
    assert scores("the party with Drake in it") == {"Drake": 0.5}


def test_an_ambiguous_name_in_small_letters_alone_is_only_possible() -> None:
    assert scores("portrait of will smith") == {"will smith": 0.5}


def test_where_other_names_have_capitals_one_without_is_no_name() -> None:
    assert scores("He said that Peter and Paul will smith iron") == {}


@pytest.mark.parametrize(
    ("text", "score"),
    [
        ("a meadow, painting by Bob Brushwork", 0.25),
        ("a meadow, by jane doe, john roe and bob brushwork", 0.25),
        ("a meadow in the style of Bob Brushwork", 0.25),
        ("a cat hugged by Bob Brushwork", 0.95),
        ("Bob Brushwork by the sea", 0.95),
        ("a painting by Donald Trump", 0.95),
    ],
)
def test_who_made_it_need_not_be_in_the_picture(text: str, score: float) -> None:
    assert list(scores(text).values()) == [score]


@pytest.mark.parametrize(
    "text", ["the swift", "a meadow in the ring with Rube Drake", "two drakes", "Drake Bellows sings"]
)
def test_an_ambiguous_word_within_another_name_or_in_plural_is_none(text: str) -> None:
    assert scores(text) == {}


def test_a_surname_before_a_place_is_the_place() -> None:
    assert scores("Trump Tower at night") == {}
    assert scores("trump at night") == {"trump": 0.85}


def test_a_malformed_gazetteer_is_refused_with_its_line() -> None:
    text = "name,aliases,role,country,died,hints\nAda,,science,UK,1852,\nBob,,cook,UK,,"
    with pytest.raises(ConfigurationError, match=r"people\.csv line 3"):
        list(read_people(text, "people.csv"))


def test_the_empty_gazetteer_finds_nobody() -> None:
    assert list(NameIndex([], 2026, "people").exact([], "", lambda word: False)) == []
