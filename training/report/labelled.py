"""Reads labelled prompts, JSON lines or Parquet, and says by line what is wrong with them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from services.core.policy.categories import CATEGORIES, possible_at

ANY = "any"
KNOWN = tuple(category for category in CATEGORIES if possible_at(category, "prompt"))
_COLUMNS = {name.replace(".", "_"): name for name in KNOWN} | {name: name for name in KNOWN}
_MOST_PROBLEMS = 20


class NotLabelled(Exception):
    """A file that cannot be evaluated; the message names every mistake with its line."""


@dataclass(frozen=True, slots=True)
class Labelled:
    """One prompt: `labels` category → 1 or 0, `any` among them where it is known; what is missing is unknown."""

    line: int
    text: str
    src: str
    labels: dict[str, int]


def read(path: Path) -> tuple[list[Labelled], list[str]]:
    """The rows of a .jsonl or .parquet file, and the names of fields that say nothing to us.

    A row has `text`; perhaps `src`; and either `labels`, the list of the categories it violates (all others are 0), or
    a field a category with 1, 0 or -1 (unknown, as is a field that is missing), and `any`. With `any` 0 every category
    is 0. Raises NotLabelled.
    """
    rows: list[Labelled] = []
    problems: list[str] = []
    passed_over: set[str] = set()
    for line, given in _records(path, problems):
        try:
            rows.append(_row(line, given))
            passed_over |= set(given) - {"text", "src", ANY, "labels", *_COLUMNS}
        except ValueError as error:
            problems.append(f"{path.name}:{line}: {error}")
    if not rows and not problems:
        problems.append(f"{path.name}: holds no prompts")
    if problems:
        more = [f"… and {len(problems) - _MOST_PROBLEMS} more"] if len(problems) > _MOST_PROBLEMS else []
        raise NotLabelled("\n".join([*problems[:_MOST_PROBLEMS], *more]))
    return rows, sorted(passed_over)


def _records(path: Path, problems: list[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    """Line or row number from 1, and its fields; lines that are no object go to `problems`."""
    if path.suffix == ".parquet":
        try:
            table = pd.read_parquet(path)
        except (OSError, ValueError) as error:
            raise NotLabelled(f"{path.name}: cannot be read as Parquet ({error})") from error
        yield from enumerate(({str(k): v for k, v in row.items()} for row in table.to_dict("records")), 1)
        return
    with path.open("rb") as file:
        for line, data in enumerate(file, 1):
            if not data.strip():
                continue
            try:
                given = json.loads(data)
            except (ValueError, RecursionError) as error:
                problems.append(f"{path.name}:{line}: not JSON ({error})")
                continue
            if isinstance(given, dict):
                yield line, given
            else:
                problems.append(f"{path.name}:{line}: not an object with fields")


def _row(line: int, given: dict[str, Any]) -> Labelled:
    """Raises ValueError that says what is wrong."""
    text, src = given.get("text"), given.get("src", "")
    if not isinstance(text, str) or not text:
        raise ValueError("needs text, a string that is not empty")
    if not isinstance(src, str):
        raise ValueError("src is no string")
    labels = _listed(given["labels"]) if "labels" in given else {}
    for column, category in _COLUMNS.items():
        if column in given and (value := _label(column, given[column])) >= 0:
            labels[category] = value
    violates = 1 in labels.values()
    stated = _label(ANY, given.get(ANY, -1))
    if stated == 0 and violates:
        raise ValueError(f"any is 0, but {next(name for name, value in labels.items() if value == 1)} is 1")
    if violates or stated == 1:
        labels[ANY] = 1
    elif stated == 0 or set(labels) == set(KNOWN):
        labels = dict.fromkeys((*KNOWN, ANY), 0)
    if not labels:
        raise ValueError("has no label: give any, a category, or labels")
    return Labelled(line, text, src, labels)


def _listed(names: Any) -> dict[str, int]:
    """The labels that a complete list of violated categories stands for."""
    if isinstance(names, str) or not hasattr(names, "__iter__") or isinstance(names, dict):
        raise ValueError("labels is no list of categories")
    names = list(names)
    if strange := [str(name) for name in names if not isinstance(name, str) or name not in _COLUMNS]:
        raise ValueError(f"no such category: {', '.join(strange)}; known are {', '.join(KNOWN)}")
    return dict.fromkeys(KNOWN, 0) | {_COLUMNS[name]: 1 for name in names}


def _label(column: str, value: Any) -> int:
    """1, 0 or -1."""
    if value is None or value != value:  # None or NaN: a table's empty cell
        return -1
    if isinstance(value, str) or value not in (1, 0, -1):
        raise ValueError(f"{column} is {value!r}; allowed are 1, 0 and -1 (unknown)")
    return int(value)
