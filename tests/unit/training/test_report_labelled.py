"""Labelled prompts are read in every form that is promised, and mistakes are told by line."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.report.labelled import ANY, KNOWN, NotLabelled, _row, read


def write(folder: Path, *rows: object) -> Path:
    path = folder / "prompts.jsonl"
    path.write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows), encoding="utf-8")
    return path


def test_columns_say_yes_no_and_unknown(tmp_path):
    # Given a row in the form of the training table
    path = write(tmp_path, {"text": "a fight", "src": "mine", "any": 1, "violence": 1, "hate": 0, "self_harm": -1})
    # When it is read
    (row,), _ = read(path)
    # Then unknown labels are missing
    assert row.labels == {"violence": 1, "hate": 0, ANY: 1}
    assert (row.line, row.src) == (1, "mine")


def test_a_list_of_labels_is_complete(tmp_path):
    (bad, good), _ = read(write(tmp_path, {"text": "a", "labels": ["violence.graphic"]}, {"text": "b", "labels": []}))

    assert [name for name, value in bad.labels.items() if value] == ["violence.graphic", ANY]
    assert good.labels == dict.fromkeys((*KNOWN, ANY), 0)


def test_what_violates_nothing_violates_no_category(tmp_path):
    (row,), _ = read(write(tmp_path, {"text": "a cat", "any": 0, "hate": -1}))

    assert row.labels == dict.fromkeys((*KNOWN, ANY), 0)


def test_a_parquet_file_reads_alike(tmp_path):
    rows = [{"text": "a", "src": "x", "any": 1, "sexual_minors": 0, "hate": 1}, {"text": "b", "src": "y", "any": 0}]
    pd.DataFrame(rows).to_parquet(tmp_path / "prompts.parquet")

    from_table, _ = read(tmp_path / "prompts.parquet")
    from_lines, _ = read(write(tmp_path, *rows))

    assert from_table == from_lines


def test_fields_that_are_no_category_are_named(tmp_path):
    _, passed_over = read(write(tmp_path, {"text": "a", "any": 0, "violense": 1, "id": 7}))

    assert passed_over == ["id", "violense"]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "not JSON"),
        ("[1]", "not an object"),
        ({"any": 1}, "needs text"),
        ({"text": "", "any": 1}, "needs text"),
        ({"text": "a"}, "has no label"),
        ({"text": "a", "any": 0, "hate": 1}, "any is 0, but hate is 1"),
        ({"text": "a", "hate": 2}, "hate is 2"),
        ({"text": "a", "hate": "yes"}, "hate is 'yes'"),
        ({"text": "a", "labels": ["violense"]}, "no such category: violense"),
        ({"text": "a", "labels": "hate"}, "labels is no list"),
    ],
)
def test_a_mistake_is_told_with_its_line(tmp_path, line, said):
    # Given a file whose third line is wrong, an empty one before it
    path = write(tmp_path, {"text": "good", "any": 0}, "", line)
    # When it is read, then the message names file, line and mistake
    with pytest.raises(NotLabelled, match=f"prompts.jsonl:3: {said}"):
        read(path)


def test_an_empty_file_is_no_report(tmp_path):
    with pytest.raises(NotLabelled, match="holds no prompts"):
        read(write(tmp_path))


JSON = st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), st.lists)
FIELDS = st.sampled_from(["text", "src", "labels", *KNOWN, ANY])


@given(st.dictionaries(FIELDS, JSON | st.sampled_from([0, 1, -1, "a text", ["hate"]])))
def test_a_row_is_read_or_refused(given_row):
    try:
        row = _row(1, given_row)
    except ValueError:
        return
    assert set(row.labels.values()) <= {0, 1}
    assert row.labels.get(ANY) != 0 or 1 not in row.labels.values()
