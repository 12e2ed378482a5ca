"""The benchmark of the prompt filter measures on held-out texts alone, with or without the data folder."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from benchmarks.prompts import speed
from benchmarks.prompts.filters import Filter
from benchmarks.prompts.held_out import HeldOut, held_out
from benchmarks.prompts.quality import contrasts, disguises
from benchmarks.report.table import Figure
from training.prompt_filter import data, texts


@pytest.fixture(scope="module")
def own() -> HeldOut:
    return held_out(Path("no-such-folder"))


def letters(found: float) -> Filter:
    """A filter that finds a text whose first letter stands there bare."""
    return Filter("letters", lambda given: pd.DataFrame({"any": [found * (text[:1] in "abc") for text in given]}), len)


def test_no_text_is_one_that_training_sees(own):
    rows = texts.read(data.CATEGORIES)
    trained = set(rows["text"][data.split(rows) == "train"])

    assert len(own.rows) >= 100
    assert not trained & set(own.rows["text"])


def test_twins_stand_together(own):
    twins = own.twins()

    assert twins.groupby("group")[data.ANY].nunique().eq(2).all()


def test_a_share_keeps_groups_whole(own):
    part = own.sample(0.3)

    assert 0 < len(part.rows) <= 0.3 * len(own.rows)
    assert set(part.rows["group"]).isdisjoint(own.rows["group"][~own.rows["text"].isin(part.rows["text"])])


def test_the_mix_is_the_same_on_every_run(own):
    assert speed.mix(own) == speed.mix(own)


def test_all_disguises_are_tried_on_what_is_found_plain(own):
    # Given a filter that every changed letter deceives
    figures, kept = disguises(letters(1.0), own)
    # When its disguises are counted, then what changes no letter is still found, and what changes all is not
    assert kept["cyrillic"] < 0.5
    assert kept["dotted"] == 1.0
    assert {figure.name for figure in figures} >= {"disguise: homoglyphs", "disguise: casing"}


def test_a_filter_that_finds_nothing_flags_every_twin(own):
    figure = contrasts(letters(0.0), own)[0]

    assert figure.value == 1.0
    assert figure.met is False


@pytest.mark.parametrize(("value", "at_most", "met"), [(0.9, False, True), (0.9, True, False), (0.5, True, True)])
def test_a_goal_is_a_least_or_a_most(value, at_most, met):
    assert Figure("x", 1, value, 0.5 if at_most else 0.9, at_most).met is met
