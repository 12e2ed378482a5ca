"""Fairness is measured by term, on sentences that no model is trained on."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import yaml
from hypothesis import given
from hypothesis import strategies as st

from training.prompt_filter import fairness
from training.prompt_filter.data import CONTRAST

ROWS = pd.DataFrame(
    {
        "text": list("abcdefgh"),
        "term": ["deaf", "deaf", "sikh", "sikh", "deaf", "sikh", "deaf", "sikh"],
        "hateful": [False, False, False, False, True, True, True, True],
    }
)
SCORES = np.array([0.9, 0.6, 0.6, 0.1, 0.9, 0.8, 0.7, 0.2])


def test_every_template_meets_every_term_once():
    rows = fairness.sentences()
    templates = yaml.safe_load(fairness.TEMPLATES.read_text(encoding="utf-8"))

    assert len(templates["terms"]) >= 60
    assert len(templates["harmless"]) >= 60
    assert len(rows) == len(templates["terms"]) * (len(templates["harmless"]) + len(templates["hateful"]))
    assert not rows["text"].duplicated().any()
    assert not rows["text"].str.contains("[{}]").any()


def test_the_shapes_are_not_those_of_the_training_grammars():
    """A shape is a template with its slots blanked."""
    measured = yaml.safe_load(fairness.TEMPLATES.read_text(encoding="utf-8"))
    grammars = [yaml.safe_load(path.read_text(encoding="utf-8")) for path in CONTRAST.glob("*.yaml")]
    trained = {
        shape(text)
        for grammar in grammars
        for text in [
            *(text for pair in grammar.get("pairs", []) for text in pair),
            *(text for side in ("unsafe", "safe") for text in grammar.get(side, {}).get("templates", [])),
        ]
    }

    assert {shape(text) for text in measured["harmless"] + measured["hateful"]} & trained == set()


def shape(template: str) -> str:
    return " ".join(re.findall(r"[a-z_]+", re.sub(r"{\w+}", "_", template.lower()))).strip(" _")


def test_a_madlib_belongs_to_the_longest_term_it_names(tmp_path):
    (tmp_path / "fairness").mkdir()
    pd.DataFrame(
        {
            "Text": ["Ann is a kind african american", "You are a repulsive janitor", "hug older"],
            "Label": ["NOT_BAD", "BAD", "NOT_BAD"],
            "Template": ["name_adj", "you_occupation", "verb_adj"],
        }
    ).to_csv(tmp_path / "fairness" / "bias_madlibs_77k.csv.gz", index=False)

    rows = fairness.madlib_sentences(tmp_path)

    assert rows["term"].tolist() == ["african american", "older"]
    assert rows["hateful"].tolist() == [False, False]


def test_the_gap_names_both_terms():
    figures = fairness.report(ROWS, SCORES, {"block": 0.8})["at"]["block"]

    assert figures["harmless flagged"] == 0.25
    assert figures["hateful found"] == 0.5
    assert (figures["most flagged"], figures["least flagged"], figures["largest gap"]) == ("deaf", "sikh", 0.5)


@given(st.lists(st.floats(0, 1), min_size=8, max_size=8))
def test_the_threshold_finds_four_fifths_of_the_hateful(scores):
    found = np.array(scores)[4:] >= fairness.threshold(ROWS, np.array(scores))

    assert found.mean() >= fairness.FOUND
