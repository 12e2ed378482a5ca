"""The hand-written texts: their format, and that what is written keeps its promises."""

from pathlib import Path

import pandas as pd
import pytest

from training.prompt_filter import texts
from training.prompt_filter.data import CATEGORIES

LABELS = list(CATEGORIES)


@pytest.fixture(scope="module")
def written() -> pd.DataFrame:
    return texts.read(CATEGORIES)


def _folder(tmp_path: Path, content: str) -> Path:
    (tmp_path / "prompts").mkdir()
    (tmp_path / "prompts" / "some.txt").write_text(content, encoding="utf-8")
    return tmp_path


def test_a_bracket_gives_a_violation_and_its_harmless_twin_of_one_group(tmp_path: Path) -> None:
    # Given a line with a violation and a harmless wording of it
    folder = _folder(tmp_path, "= violence ? political\na man [hits|meets] his friend\n")
    # When it is read
    bad, good = texts.read(CATEGORIES, folder).to_dict("records")
    # Then both texts are there, labelled, and can never be split
    assert (bad["text"], bad["violence"], bad["political"], bad["hate"]) == ("a man hits his friend", 1, -1, 0)
    assert good["text"] == "a man meets his friend"
    assert not any(good[category] for category in CATEGORIES)
    assert bad["group"] == good["group"]


def test_choices_are_spelled_out_up_to_the_limit_and_alike_on_every_run(tmp_path: Path) -> None:
    # Given a line of nine texts, of which five are allowed
    folder = _folder(tmp_path, "a {red/green/blue} {cat/dog/hen}\n")
    # When it is read twice
    first, second = (texts.read(CATEGORIES, folder, limit=5)["text"].tolist() for _ in range(2))
    # Then there are five different texts, the same ones
    assert len(set(first)) == 5
    assert first == second


@pytest.mark.parametrize(
    "line",
    ["= violense", "a [lonely] bracket", "[a|b] and [c|d|e]", "an [open bracket", "a | outside"],
)
def test_a_mistake_is_named_with_file_and_line(tmp_path: Path, line: str) -> None:
    # Given a file whose second line is wrong
    folder = _folder(tmp_path, f"a good line\n{line}\n")
    # When it is read, then the error says where
    with pytest.raises(ValueError, match=r"some\.txt:2: "):
        texts.read(CATEGORIES, folder)


def test_no_text_is_written_twice(written: pd.DataFrame) -> None:
    assert written["text"][written["text"].duplicated()].tolist() == []


def test_long_texts_are_long_and_prompts_are_short(written: pd.DataFrame) -> None:
    words = written["text"].str.split().str.len()
    long = written["src"] == "own-long"
    assert words[long].median() >= 40
    assert words[~long].max() <= 40


def test_every_category_has_violations_and_most_have_harmless_twins(written: pd.DataFrame) -> None:
    violating = (written[LABELS] == 1).any(axis=1)
    harmless = (written[LABELS] == 0).all(axis=1)
    assert (written[LABELS] == 1).sum().min() >= 15
    twinned = set(written["group"][violating]) & set(written["group"][harmless])
    assert len(twinned) >= 0.9 * written["group"][violating].nunique()


def test_no_sexual_text_speaks_of_anyone_young(written: pd.DataFrame) -> None:
    # Given all texts that are sexual, and the prompts that might be
    sexual = written["text"][(written["sexual"] == 1) | written["src"].eq("own-prompts") & (written["sexual"] == -1)]
    # Then none has a word of childhood
    young = r"(?i)\b(?:child|children|kids?|bab(?:y|ies)|boys?|girls?|teen\w*|school\w*|daughter|minor|young|pupil)\b"
    assert sexual[sexual.str.contains(young)].tolist() == []
