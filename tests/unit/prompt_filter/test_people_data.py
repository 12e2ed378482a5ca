"""The gazetteer that ships with the filter (services/prompt_filter/data/people/*.csv): form, doubles, plain words."""

from __future__ import annotations

import csv
import gzip
from collections import Counter
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from random import Random

import pytest

from services.prompt_filter.banks import Banks
from services.prompt_filter.people import COLUMNS, ROLES
from services.prompt_filter.words import spelled

DATA = Path(__file__).parents[3] / "services/prompt_filter/data"
FILES = sorted((DATA / "people").glob("*.csv"))

# Two people of one name, each best known by it.
NAMESAKES = {"brian cox", "graham greene", "john adams", "socrates"}

# Surnames and stage names that stand among the English words because of the person who bears them.
KNOWN_BY_ONE_WORD = set(Path(__file__).with_name("known_by_one_word.txt").read_text(encoding="ascii").split())

# The least that each role must have.
LEAST = {
    "state": 1_700,
    "politics": 2_600,
    "royalty": 220,
    "religion": 280,
    "art": 1_900,
    "business": 800,
    "science": 500,
    "media": 850,
    "other": 250,
    "entertainment": 9_500,
    "sport": 5_500,
}


def rows(file: Path) -> list[dict[str, str]]:
    with file.open(encoding="utf-8", newline="") as opened:
        return list(csv.DictReader(opened, strict=True))


@cache
def everybody() -> list[dict[str, str]]:
    return [row for file in FILES for row in rows(file)]


def spellings(row: dict[str, str]) -> list[str]:
    return [row["name"], *filter(None, row["aliases"].split("|"))]


def folded(name: str) -> str:
    return " ".join(spelled(name))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_file_has_the_columns_of_the_readme(file: Path) -> None:
    assert file.read_text(encoding="utf-8").partition("\n")[0].split(",") == COLUMNS


def test_every_row_is_whole() -> None:
    # given
    year = datetime.now(UTC).year
    # when
    broken = [
        row["name"]
        for row in everybody()
        if None in row.values()
        or None in row
        or row["role"] not in ROLES
        or not row["country"]
        or any(cell != cell.strip() for cell in row.values())
        or any(len(part.strip()) < 2 for cell in ("aliases", "hints") for part in row[cell].split("|") if row[cell])
        or row["hints"] != row["hints"].lower()
    ]
    # then
    assert broken == []
    assert all(-3_000 <= int(row["died"]) <= year and int(row["died"]) for row in everybody() if row["died"])


def test_a_name_stands_in_one_row_only() -> None:
    # given
    seen = Counter(name for row in everybody() for name in {folded(spelling) for spelling in spellings(row)})
    # then
    assert {name for name, times in seen.items() if times > 1} <= NAMESAKES


def test_a_name_that_is_an_english_word_has_hints() -> None:
    # given
    english = set(gzip.decompress((DATA / "english.txt.gz").read_bytes()).decode().split())
    # when
    bare = {folded(spelling) for row in everybody() if not row["hints"] for spelling in spellings(row)}
    # then
    assert sorted((bare & english) - KNOWN_BY_ONE_WORD) == []


def test_every_role_is_well_filled() -> None:
    # given
    roles = Counter(row["role"] for row in everybody())
    # then
    assert {role: roles[role] for role, least in LEAST.items() if roles[role] < least} == {}


def test_most_countries_have_a_head_of_state_or_government() -> None:
    assert len({row["country"] for row in everybody() if row["role"] == "state"}) >= 190


def test_a_living_person_drawn_by_lot_is_found() -> None:
    # given
    banks = Banks.load()
    living = [row for row in everybody() if not row["died"] and not row["hints"] and row["name"].isascii()]
    # when
    drawn = Random(3).sample(living, 300)
    missed = [
        row["name"]
        for row in drawn
        if not any(hit.entry.category == "public_figure" for hit in banks.search(f"a photo of {row['name']} laughing"))
    ]
    # then
    assert missed == []
