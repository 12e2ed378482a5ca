from __future__ import annotations

import time
from datetime import UTC, datetime

import pytest

from services.core.errors import ConfigurationError
from services.core.store.terms import Term
from services.prompt_filter import banks
from services.prompt_filter.banks import Added, Banks
from services.prompt_filter.name_index import NameIndex
from services.prompt_filter.people import Person
from services.prompt_filter.term_bank import TermBank

NOBODY = NameIndex([], 2026, "people")
TRUMP = Person("Donald Trump", ("Trump",))
CARD = Term("trump card", "exception")
SWEAR = Term("darn", "exact", "shocking", 0.6)


def found(bank: Banks, text: str, added: Added = banks.NOTHING_ADDED) -> list[str]:
    return [text[hit.start : hit.end] for hit in bank.search(text, added) if not hit.excepted]


def house(*terms: Term) -> Banks:
    return Banks(TermBank(terms, banks.TERMS), NameIndex([TRUMP], 2026, banks.PEOPLE), "digest")


def tenant(*terms: Term) -> Added:
    return Added(None, (TermBank(terms, "terms:own/1"),))


@pytest.fixture(scope="module")
def shipped() -> Banks:
    return Banks.load()


def test_an_exception_of_the_house_holds_for_names_and_terms() -> None:
    bank = house(CARD, SWEAR, Term("darn it socks", "exception"))
    assert found(bank, "a trump card, Trump, darn it socks and darn") == ["Trump", "darn"]


def test_a_term_of_a_tenant_is_found_for_this_tenant_alone() -> None:
    own = tenant(Term("acme", "exact", "spam", 0.9))
    assert found(house(), "an acme box", own) == ["acme"]
    assert found(house(), "an acme box") == []


def test_an_exception_of_a_tenant_holds_for_the_terms_of_the_house_and_not_for_names() -> None:
    own = tenant(Term("darn trump socks", "exception"))
    assert found(house(SWEAR), "darn trump socks", own) == ["trump"]


def test_what_a_tenant_excepts_is_still_told_of_as_excepted() -> None:
    (hit,) = house(SWEAR).search("darn good socks", tenant(Term("darn good", "exception")))
    assert hit.excepted


def test_the_source_of_a_signal_names_the_bank() -> None:
    (hit,) = house().search("an acme box", tenant(Term("acme", "exact", "spam", 0.9)))
    assert hit.entry.source == "terms:own/1"


def test_who_died_more_than_70_years_ago_is_history() -> None:
    people = NameIndex([Person("Old King", died=1955), Person("Late King", died=1956)], 2026, "people")
    bank = Banks(TermBank([], banks.TERMS), people, "digest")
    assert [hit.entry.category for hit in bank.search("Old King and Late King")] == [
        "public_figure.historical",
        "public_figure",
    ]


def test_the_year_comes_from_the_clock_that_is_handed_in() -> None:
    (now,) = Banks.load(datetime(2026, 6, 1, tzinfo=UTC)).search("Winston Churchill")
    (then,) = Banks.load(datetime(2036, 6, 1, tzinfo=UTC)).search("Winston Churchill")
    assert (now.entry.category, then.entry.category) == ("public_figure", "public_figure.historical")


@pytest.mark.parametrize(
    "text", ["Donald Trump as a clown", "a photo of elon musk", "Zelenskyy and Beyoncé", "the pope francis"]
)
def test_well_known_people_are_known(shipped: Banks, text: str) -> None:
    assert any(hit.entry.category == "public_figure" for hit in shipped.search(text))


@pytest.mark.parametrize(
    "text",
    [
        "a trump card on a table",
        "a hotel in Paris",
        "a Paris hotel at night",
        "a king charles spaniel",
        "jordan river",
        "the Jordan River at dawn",
        "a smith will forge",
        "the will of a smith",
        "a musk deer",
        "Washington state in autumn",
        "Lincoln, Nebraska",
        "Austin, Texas",
        "Kim the baker",
        "John Miller and Maria in a garden",
        "dick van dyke boats in a harbor of sussex",
    ],
)
def test_namesakes_are_left_alone(shipped: Banks, text: str) -> None:
    assert [hit for hit in shipped.search(text) if hit.entry.category == "public_figure"] == []


@pytest.mark.parametrize("words", ["mariq jonn ", "Donld Trump, ", "barak obamma angelina ", "a b ", "donaldtrump"])
def test_a_hostile_text_takes_time_in_proportion(shipped: Banks, words: str) -> None:
    text = (words * 4000)[:4000]
    begin = time.thread_time()
    shipped.search(text)
    assert time.thread_time() - begin < 1


def test_a_malformed_bank_is_refused_with_its_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(banks, "_lines", lambda name: [(7, "word,nonsense,0.5")])
    with pytest.raises(ConfigurationError, match=r"terms\.csv line 7"):
        list(banks._terms())
