"""People from a query result of Wikidata."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from services.core.errors import InvalidInput
from services.core.store.people import PersonRow
from services.prompt_filter.people_file import PeopleFile, read_people_file

WIKI = "http://www.wikidata.org/entity/"
ADA = {
    "item": WIKI + "Q1",
    "itemLabel": "Ada Test",
    "aliases": "Ada T. Test|Adda",
    "dateOfDeath": "1852-11-27T00:00:00Z",
}


def read(tmp_path: Path, name: str, text: str) -> PeopleFile:
    (tmp_path / name).write_text(text, encoding="utf-8")
    return read_people_file(tmp_path / name, lambda word: word == "jordan", lambda at: None)


def as_csv(*rows: dict[str, str]) -> str:
    return "\n".join([",".join(ADA), *(",".join(row.values()) for row in rows)])


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.csv", as_csv(ADA)),
        ("a.json", json.dumps([ADA])),
        (
            "b.json",
            json.dumps({"results": {"bindings": [{key: {"type": "x", "value": value} for key, value in ADA.items()}]}}),
        ),
    ],
)
def test_csv_and_both_kinds_of_json_say_the_same(tmp_path: Path, name: str, text: str) -> None:
    assert read(tmp_path, name, text).people == {"Q1": PersonRow("Q1", "Ada Test", ("Ada T. Test",), 1852, 0.5)}


def test_rows_of_one_person_are_put_together(tmp_path: Path) -> None:
    found = read(tmp_path, "a.json", json.dumps([ADA, {**ADA, "aliases": "Countess Test"}]))
    assert found.people["Q1"].aliases == ("Ada T. Test", "Countess Test")
    assert found.rows == 2


def test_who_is_in_many_wikipedias_is_refused_by_name_alone(tmp_path: Path) -> None:
    found = read(tmp_path, "a.json", json.dumps([{**ADA, "sitelinks": "25"}]))
    assert found.people["Q1"].score == 0.95


@pytest.mark.parametrize("label", ["Q1", "", "Jordan", "Bo", "!!!", "x" * 300, "a\u0000b c"])
def test_what_cannot_be_matched_is_left_out_and_counted(tmp_path: Path, label: str) -> None:
    found = read(tmp_path, "a.json", json.dumps([{**ADA, "itemLabel": label}]))
    assert found.people == {}
    assert found.left_out.total() == 1


@pytest.mark.parametrize(("date", "year"), [("-0044-03-15T00:00:00Z", -44), ("t1234", None), ("1999", 1999)])
def test_a_date_gives_its_year(tmp_path: Path, date: str, year: int | None) -> None:
    assert read(tmp_path, "a.json", json.dumps([{**ADA, "dateOfDeath": date}])).people["Q1"].died == year


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("a.csv", "film,year\nx,1999\n", "none of the columns"),
        ("a.csv", as_csv(ADA) + "\nonly one cell", r"a\.csv:3:1"),
        ("a.csv", "", "no rows"),
        ("a.json", '[{"item": "Q1", ', "no JSON"),
        ("a.json", '["x"]', "no object"),
        ("a.json", "{}", "no rows"),
    ],
)
def test_what_is_no_query_result_is_refused(tmp_path: Path, name: str, text: str, told: str) -> None:
    with pytest.raises(InvalidInput, match=told):
        read(tmp_path, name, text)
