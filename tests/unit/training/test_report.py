"""The report counts right, shows texts only when asked, and runs the pipeline of the service."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from typer.testing import CliRunner

from training import evaluate
from training.report import figures, page
from training.report.labelled import ANY, Labelled
from training.report.plots import draw
from training.report.scoring import Scored, highest

SCORES = st.lists(st.floats(0, 1), min_size=1, max_size=300)


def measured(pairs: list[tuple[int, float]]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Rows of violence with these labels and scores; a verdict of BLOCK from 0.5."""
    given = [Labelled(at, "x" * (at + 1), "s", {"violence": y, ANY: y}) for at, (y, _) in enumerate(pairs)]
    scored = [Scored({"violence": score}, "BLOCK" if score >= 0.5 else "ALLOW") for _, score in pairs]
    return evaluate.tables(given, scored)


@given(SCORES, st.sampled_from([0.01, 0.05]))
def test_no_more_than_the_rate_is_flagged(scores, rate):
    harmless = np.array(scores)

    assert (harmless > figures.threshold(harmless, rate)).mean() <= rate


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1))
def test_the_calibration_error_is_a_share(pairs):
    scores, truth = np.array([p for p, _ in pairs]), np.array([t for _, t in pairs])

    assert 0 <= figures.calibration_error(scores, truth) <= 1


def test_scores_that_keep_their_word_have_no_calibration_error():
    scores = np.repeat([0.25, 0.75], 100)
    truth = np.tile(np.repeat([True, False], 25), 4)
    truth[:100], truth[100:] = np.arange(100) < 25, np.arange(100) < 75

    assert figures.calibration_error(scores, truth) == pytest.approx(0)


def test_recall_is_counted_above_what_one_in_a_hundred_harmless_texts_reach():
    # Given 200 harmless texts up to 0.199 and 20 violations, half of them above
    rows, scores = measured([(0, at / 1000) for at in range(200)] + [(1, 0.1)] * 10 + [(1, 0.9)] * 10)
    # When they are counted
    found = figures.report(rows, scores, {"violence": 0.5}, scores[rows[ANY] == 0])["categories"]["violence"]
    # Then half is found, at either threshold
    assert found["recall at 1% false positives"] == 0.5
    assert found["recall at review"] == 0.5
    assert found["false positives at review"] == 0


def test_verdicts_sources_and_lengths_count_every_text():
    rows, scores = measured([(0, 0.9), (0, 0.1), (1, 0.9), (1, 0.1)] * 20)

    found = figures.report(rows, scores, {}, scores[:0])

    assert found["verdicts"]["violence"] == {"ALLOW": 20, "REVIEW": 0, "BLOCK": 20, "REFUSED": 0}
    assert found["sources"]["s"]["harmless stopped"] == 0.5
    assert sum(row["texts"] for row in found["lengths"].values()) == 80
    assert list(found["lengths"]) == ["1–30", "31–80"]


def test_a_text_that_is_no_prompt_counts_as_found():
    rows, scores = evaluate.tables([Labelled(1, "x", "", {ANY: 1})], [Scored({}, "REFUSED")])

    assert highest({}) == 1.0
    assert scores[ANY].tolist() == [1.0]
    assert rows["verdict"].tolist() == ["REFUSED"]


def test_plots_are_pictures(tmp_path):
    rows, scores = measured([(0, 0.2)] * 20 + [(1, 0.8)] * 20)

    names = draw(rows, scores, {"violence": {"ALLOW": 1, "REVIEW": 2, "BLOCK": 3, "REFUSED": 0}}, tmp_path)

    assert names == ["precision_recall.png", "reliability.png", "verdicts.png"]
    assert all(Image.open(tmp_path / name).width > 300 for name in names)


def test_a_text_cannot_break_the_table():
    told = {"line": 1, "src": "a|b", "score": 0.5, "text": "a `b` | c\n# d"}

    table = page._table("line", {"1": told})

    assert table.splitlines()[-1] == "| 1 | a\\|b | 0.500 | `a 'b' \\| c # d` |"


PROMPTS = [
    {"text": "a man stabbing another man with a knife", "labels": ["violence"]},
    {"text": "a bowl of lemons on a wooden table", "labels": []},
    {"text": " ", "any": 1},
]


@pytest.fixture
def prompts(tmp_path) -> Path:
    path = tmp_path / "prompts.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in PROMPTS), encoding="utf-8")
    return path


def run(*arguments: str | Path) -> None:
    import typer

    app = typer.Typer()
    app.command()(evaluate.evaluate)
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output


def test_the_report_is_made_by_the_pipeline_and_hides_texts(prompts, tmp_path):
    run(prompts, "--out", tmp_path / "out")

    found = json.loads((tmp_path / "out" / "report.json").read_text())
    written = (tmp_path / "out" / "report.md").read_text()
    assert found["verdicts"]["violence"]["ALLOW"] == 0
    assert found["verdicts"]["harmless"]["ALLOW"] == 1
    assert found["lengths"]["1–30"]["violations stopped"] == 1.0  # the blank one is refused
    assert "lemons" not in written
    assert "stabbing" not in written + json.dumps(found)


def test_two_workers_say_what_one_says(prompts, tmp_path):
    run(prompts, "--out", tmp_path / "one")
    run(prompts, "--out", tmp_path / "two", "--workers", "2")

    one, two = ((tmp_path / name / "report.json").read_text() for name in ("one", "two"))
    assert one == two
