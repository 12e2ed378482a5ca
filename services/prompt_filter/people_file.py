"""Reads people from a result of query.wikidata.org, CSV or JSON, row by row.

A person may have several rows (one an alias, say); they are put together by the item. What is no use for matching is
left out and counted: items without an English name, aliases of one word, names of one word that are English words.
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import ijson

from services.core.errors import InvalidInput
from services.core.store.people import PersonRow
from services.prompt_filter.words import spelled

# Column names as Wikidata's examples and label service use them, in lower case.
_COLUMNS = {
    "entry": ("item", "person", "human", "entry", "id"),
    "name": ("itemlabel", "personlabel", "humanlabel", "label", "name"),
    "aliases": ("aliases", "alias", "altlabel", "itemaltlabel", "personaltlabel"),
    "died": ("dateofdeath", "died", "death", "dod"),
    "sitelinks": ("sitelinks", "links"),
}
# Wikipedia has articles on the person in so many languages or more: known everywhere, so that a name is enough.
FAMOUS = 25
SCORE, FAMOUS_SCORE = 0.5, 0.95
_SHORTEST_LONE = 5
_LONGEST = 100
_ITEM = re.compile(r"Q\d+")
_YEAR = re.compile(r"([+-]?\d{1,5})(?:-\d\d-\d\d.*)?")

Row = dict[str, str]


@dataclass
class PeopleFile:
    """People by their item; `left_out` counts what was not taken, by the reason."""

    people: dict[str, PersonRow] = field(default_factory=dict[str, PersonRow])
    left_out: Counter[str] = field(default_factory=Counter[str])
    rows: int = 0


def read_people_file(path: Path, common: Callable[[str], bool], seen: Callable[[int], None]) -> PeopleFile:
    """Reads a .csv or .json file; `common` tells everyday words, `seen` is told the bytes read after each 1,000 rows.

    Raises InvalidInput where the file is no result of a query, OSError where it cannot be read.
    """
    found = PeopleFile()
    with path.open("rb") as file:
        rows = _json_rows(file) if path.suffix.lower() == ".json" else _csv_rows(file, path.name)
        try:
            for row in rows:
                found.rows += 1
                _take(found, row, common)
                if found.rows % 1_000 == 0:
                    seen(file.tell())
        except ijson.JSONError as error:
            raise InvalidInput("file", f"{path.name} is no JSON, near byte {file.tell():,}: {error}") from None
        except UnicodeDecodeError as error:
            raise InvalidInput("file", f"{path.name} is not UTF-8, after row {found.rows:,}: {error.reason}") from None
    if not found.rows:
        raise InvalidInput("file", f"{path.name} has no rows; JSON is a list of objects, or results.bindings of SPARQL")
    return found


def _csv_rows(file: IO[bytes], name: str) -> Iterator[Row]:
    reader = csv.reader((line.decode("utf-8-sig" if not number else "utf-8") for number, line in enumerate(file)))
    header: list[str] = []
    try:
        for cells in reader:
            if not header:
                header = [cell.strip().lower() for cell in cells]
                _require(header)
            elif len(cells) != len(header):
                told = f"{name}:{reader.line_num}:1: has {len(cells)} cells, the header has {len(header)}"
                raise InvalidInput("file", told)
            else:
                yield dict(zip(header, cells, strict=True))
    except csv.Error as error:
        raise InvalidInput("file", f"{name}:{reader.line_num}:1: {error}") from None


def _json_rows(file: IO[bytes]) -> Iterator[Row]:
    first = file.read(64).lstrip(b"\xef\xbb\xbf \t\r\n")[:1]
    file.seek(0)
    prefix = "item" if first == b"[" else "results.bindings.item"
    for number, row in enumerate(ijson.items(file, prefix)):
        if not isinstance(row, dict):
            raise InvalidInput("file", f"row {number + 1:,} is no object")
        cells = {str(key).lower(): _text(value) for key, value in row.items()}
        if not number:
            _require(cells)
        yield cells


def _text(value: Any) -> str:
    """The text of a cell, plain or as SPARQL has it ({"type": …, "value": …})."""
    return str(value.get("value", "") if isinstance(value, dict) else "" if value is None else value)


def _require(columns: object) -> None:
    for needed in ("entry", "name"):
        if not any(name in columns for name in _COLUMNS[needed]):  # type: ignore[operator]
            raise InvalidInput("file", f"has none of the columns {', '.join(_COLUMNS[needed])}")


def _take(found: PeopleFile, row: Row, common: Callable[[str], bool]) -> None:
    cells = {what: next((row[name] for name in names if row.get(name)), "") for what, names in _COLUMNS.items()}
    entry = cells["entry"].strip().rpartition("/")[2][:200]
    name = cells["name"].strip()
    if reason := _useless(entry, name, common):
        found.left_out[reason] += 1
        return
    known = found.people.get(entry)
    separator = ", " if "|" not in cells["aliases"] else "|"  # the label service writes commas
    aliases = {alias.strip() for alias in cells["aliases"].split(separator)} - {"", name}
    good = {alias for alias in aliases if len(spelled(alias)) > 1 and _readable(alias)}
    found.left_out["aliases of one word"] += len(aliases) - len(good)
    good.update(known.aliases if known else ())
    died = _year(cells["died"]) if cells["died"] else known.died if known else None
    links = cells["sitelinks"]
    score = FAMOUS_SCORE if links.isdecimal() and int(links) >= FAMOUS else SCORE
    found.people[entry] = PersonRow(entry, known.name if known else name, tuple(sorted(good)), died, score)


def _useless(entry: str, name: str, common: Callable[[str], bool]) -> str:
    """Why a person is left out; empty where there is no reason."""
    if not entry or not name or _ITEM.fullmatch(name):
        return "items without a name"
    words = spelled(name)
    if not words or not _readable(name):
        return "names that cannot be read"
    if len(words) == 1 and (len(words[0]) < _SHORTEST_LONE or common(words[0])):
        return "names of one everyday word"
    return ""


def _readable(name: str) -> bool:
    return len(name) <= _LONGEST and name.isprintable()


def _year(date: str) -> int | None:
    """The year of a date as Wikidata writes it ("1955-04-18T00:00:00Z", "-0044-03-15T…"); None for an unknown one."""
    match = _YEAR.fullmatch(date.strip())
    return max(-32_000, min(32_000, int(match[1]))) if match else None
