"""What the banks found, told as signals; scores are injected, the sentences are harmless."""

from __future__ import annotations

from services.core.signals import Signal
from services.prompt_filter.classifier import Scored
from services.prompt_filter.evidence import Reading, gather
from services.prompt_filter.normalize import Form, plain
from services.prompt_filter.term_bank import Entry, Hit

HISTORICAL = Entry("public_figure.historical", 0.95, "people-bank/2")


def signals(forms: list[tuple[Form, list[Hit]]]) -> dict[str, Signal]:
    readings = [Reading(form, hits, Scored({"sexual": 0.01}, lambda _: {})) for form, hits in forms]
    return {signal.category: signal for signal in gather(readings)}


def test_an_excepted_hit_is_no_signal_but_counts_for_minors() -> None:
    hit = Hit(Entry("sexual", 0.85, "term-bank/1"), 8, 12, excepted=True)

    found = signals([(plain("a child word"), [hit])])

    assert found["sexual"].score == 0.01
    assert found["sexual.minors"].score == 0.85


def test_the_source_and_the_place_of_a_tenants_term_are_told() -> None:
    hit = Hit(Entry("spam", 0.9, "terms:brand/1"), 3, 7)

    found = signals([(plain("an acme box"), [hit])])

    assert found["spam"].source == "terms:brand/1"
    assert found["spam"].evidence is not None


def test_who_is_looked_for_and_not_found_scores_nothing() -> None:
    found = signals([(plain("a box"), [])])

    assert found["public_figure"].score == found["public_figure.historical"].score == 0


def test_a_historical_name_that_is_oddly_written_is_no_evasion() -> None:
    odd = plain("c a e s a r")
    read = Form("undressed", "caesar     ", odd.starts, odd.ends)

    found = signals([(odd, []), (read, [Hit(HISTORICAL, 0, 6)])])

    assert found["public_figure.historical"].score == 0.95
    assert found["evasion"].score == 0
