from __future__ import annotations

import pytest

from services.core.errors import ConfigurationError
from services.prompt_filter import banks
from services.prompt_filter.banks import Banks, Entry

PERSON = Entry("public_figure", 0.95, "people-bank/1")
TERM = Entry("hate", 0.6, "term-bank/1")
NOTHING = Entry("", 0.0, "term-bank/1")


def found(bank: Banks, text: str) -> list[str]:
    return [text[hit.start : hit.end] for hit in bank.search(text)]


@pytest.fixture(scope="module")
def shipped() -> Banks:
    return Banks.load()


def test_an_entry_inside_a_longer_word_is_no_match() -> None:
    assert found(Banks([("thorpe", TERM)]), "the town of scunthorpe, thorped or thorpe2") == []


def test_case_accents_and_hyphens_do_not_matter() -> None:
    bank = Banks([("Beyoncé Knowles-Carter", PERSON)])
    assert found(bank, "BEYONCE Knowles Carter sings") == ["BEYONCE Knowles Carter"]


def test_an_exception_wins_over_the_entry_inside_it() -> None:
    bank = Banks([("trump", PERSON), ("trump card", NOTHING)])
    assert found(bank, "a trump card and Trump") == ["Trump"]


def test_of_overlapping_entries_the_longest_counts_once() -> None:
    bank = Banks([("obama", PERSON), ("barack obama", PERSON)])
    assert found(bank, "Barack Obama") == ["Barack Obama"]


def test_a_letter_that_folds_to_several_moves_no_place() -> None:
    assert found(Banks([("obama", PERSON)]), "Straße İ Obama") == ["Obama"]


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
        "a king charles spaniel",
        "jordan river",
        "a smith will forge",
        "a musk deer",
    ],
)
def test_namesakes_are_left_alone(shipped: Banks, text: str) -> None:
    assert shipped.search(text) == []


def test_a_malformed_bank_is_refused_with_its_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(banks, "_lines", lambda name: [(7, "word,nonsense,0.5")])
    with pytest.raises(ConfigurationError, match=r"terms\.csv line 7"):
        list(banks._terms())
