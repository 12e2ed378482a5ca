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
    Person("Ida Easel", maker=True, artist=True),
    Person("Otto Lens", maker=True, artist=True),
    Person("Elon Musk", ("Musk",)),
    Person("Ahmed Musa"),
    Person("Bad Bunny"),
    Person("Babish"),
    Person("Susilo Bambang", ("SBY",)),
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
        "a wedding photo of Ahmed Musk",
        "a bad bunny eats a carrot",
        "they banish the elders",
        "2 0 s by artstation",
        "Hugh Jolie, Angelina Roe, Mary Poe, others",
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
        ("a man by bob brushwork", 0.25),
        ("a queen by Jane Doe, Bob Brushwork as a knight", 0.95),
        ("a photo by the sea with Bob Brushwork", 0.95),
        ("a poem by the great Bob Brushwork", 0.25),
    ],
)
def test_who_made_it_need_not_be_in_the_picture(text: str, score: float) -> None:
    assert list(scores(text).values()) == [score]


@pytest.mark.parametrize(
    "text",
    [
        "a castle, highly detailed, ida easel, artstation",
        "a castle, jane doe and ida easel",
        "a castle hugged by trees, ida easel",
        "ida easel style portrait of a girl",
        "a girl in Ida Easel's paintings",
        "a castle in the manner of ida easel",
        "a mix of ida easel and art nouveau",
        "a highly detailed castle by ida easel, sitting on a hill",
        "ida easel and otto lens",
    ],
)
def test_an_artist_named_for_a_style_is_not_in_the_picture(text: str) -> None:
    assert set(scores(text).values()) == {0.25}


@pytest.mark.parametrize(
    "text",
    [
        "Ida Easel",
        "portrait of ida easel, by jane doe",
        "portrait of the old painter ida easel",
        "a queen who looks like ida easel",
        "ida easel eating a banana",
        "a castle where ida easel sits on a chair",
        "draw ida easel",
        "a wolf kissing ida easel",
        "ida easel naked",
        "a coin with ida easel's face",
        "a party, ida easel in a red dress",
        "a park, ida easel painting a tree",
        "a photo of jane doe and ida easel",
    ],
)
def test_an_artist_who_is_shown_counts_like_anybody(text: str) -> None:
    assert scores(text)[next(name for name in ("Ida Easel", "ida easel") if name in text)] == 0.95


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
