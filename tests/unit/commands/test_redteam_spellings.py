from __future__ import annotations

from random import Random

import pytest

from services.commands.redteam_spellings import SPELLINGS
from services.prompt_filter.normalize import plain, undress
from services.prompt_filter.vocabulary import vocabulary

TEXT = "A man threatens his neighbour with a knife"


@pytest.mark.parametrize("name", SPELLINGS)
def test_a_spelling_changes_the_text_and_only_by_its_source_of_randomness(name: str) -> None:
    spelled = SPELLINGS[name](TEXT, Random(7))
    assert spelled != TEXT
    assert spelled == SPELLINGS[name](TEXT, Random(7))


@pytest.mark.parametrize("name", SPELLINGS)
def test_what_a_person_could_read_the_filter_reads(name: str) -> None:
    """Nine in ten spellings of the telling words, whatever way they are hidden."""
    read = [undress(plain(SPELLINGS[name](TEXT, Random(seed))), vocabulary()).text.lower() for seed in range(10)]
    found = sum(word in text for text in read for word in ("threatens", "neighbour", "knife"))
    assert found >= 27, read


@pytest.mark.parametrize("name", SPELLINGS)
@pytest.mark.parametrize("text", ["a", "", "ab 1"])
def test_a_short_text_breaks_no_spelling(name: str, text: str) -> None:
    assert isinstance(SPELLINGS[name](text, Random(0)), str)
