"""Reads a file of terms, CSV or YAML; every mistake is told with its line and column, and one refuses the file.

CSV: a header of any of `term, kind, category, score, distance, near, not_near, within`, then one term a line; lists
have `|` between. YAML: `terms:`, a list of mappings with the same keys.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Literal

import regex
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator, model_validator

from services.core.errors import InvalidInput
from services.core.policy.categories import CATEGORIES, possible_at
from services.core.policy.fields import unknown
from services.core.policy.positions import PolicyError, Problem, parse
from services.core.store.terms import MOST_TERMS, Term
from services.prompt_filter.term_bank import MOST_PATTERNS, compile_pattern
from services.prompt_filter.words import fold, spelled

MOST_BYTES = 32 << 20
MOST_PROBLEMS = 50
# Composed of the sexual score and words of age: a term of a list must not fill the restricted queue. A term of
# `sexual` beside words of age comes to the same.
_NOT_FOR_TERMS = "sexual.minors"
_SHAPE = "a bank is a mapping with one key, terms: a list"
_SHORTEST_FUZZY = {1: 5, 2: 9}
_UNREADABLE = regex.compile(r"[\p{Cc}\p{Cs}\p{Co}\p{Cn}]")


class BankFileError(InvalidInput):
    """The file is no valid bank; `problems` are the first 50 mistakes, in the order of the text."""

    def __init__(self, source: str, problems: Sequence[Problem]) -> None:
        self.source = source
        self.problems = tuple(problems[:MOST_PROBLEMS])
        super().__init__("bank", "\n".join(problem.render(source) for problem in self.problems))


def _words(value: object) -> object:
    """`a|b` of a CSV cell, or a list."""
    return [part.strip() for part in value.split("|") if part.strip()] if isinstance(value, str) else value


Words = Annotated[list[Annotated[str, Field(max_length=50)]], BeforeValidator(_words), Field(max_length=50)]


class _Row(BaseModel):
    """A term as a file has it."""

    model_config = ConfigDict(extra="forbid")

    term: str = Field(max_length=200)
    kind: Literal["exact", "fuzzy", "re2", "exception"] = "exact"
    category: str = ""
    score: float = Field(0.0, ge=0, le=1, allow_inf_nan=False)
    distance: int = Field(0, ge=0, le=2)
    near: Words = []
    not_near: Words = []
    within: int = Field(5, ge=1, le=50)

    @field_validator("term")
    @classmethod
    def _readable(cls, term: str) -> str:
        term = term.strip()
        if bad := _UNREADABLE.search(term):
            raise ValueError(f"character U+{ord(bad.group()):04X} is no readable text")
        if not any(letter.isalnum() for letter in fold(term)):
            raise ValueError("needs a letter or a digit")
        return term

    @field_validator("near", "not_near")
    @classmethod
    def _single_words(cls, words: list[str]) -> list[str]:
        for word in words:
            if len(spelled(word)) != 1:
                raise ValueError(f"{word!r} is not one word")
        return sorted({spelled(word)[0] for word in words})

    @field_validator("category")
    @classmethod
    def _known(cls, category: str) -> str:
        allowed = [name for name in CATEGORIES if possible_at(name, "prompt") and name != _NOT_FOR_TERMS]
        if category == _NOT_FOR_TERMS:
            raise ValueError("the house composes sexual.minors itself; use sexual, which counts beside words of age")
        if category and category not in allowed:
            raise ValueError(unknown("category", category, allowed))
        return category

    @model_validator(mode="after")
    def _whole(self) -> _Row:
        if self.kind == "exception":
            if self.category or self.score or self.near or self.not_near:
                raise ValueError("an exception has a term and a kind, nothing else")
        elif not self.category or not self.score:
            raise ValueError("needs a category and a score above 0")
        if self.kind == "fuzzy":
            self.distance = self.distance or 1
            letters = sum(map(len, spelled(self.term)))
            if letters < _SHORTEST_FUZZY[self.distance]:
                least = _SHORTEST_FUZZY[self.distance]
                raise ValueError(f"a fuzzy term of distance {self.distance} needs {least} letters or more")
        elif self.distance:
            raise ValueError("only a fuzzy term has a distance")
        if self.kind == "re2":
            try:
                compile_pattern(self.term)
            except InvalidInput as error:
                raise ValueError(error.violation.description) from None
        return self

    def to_term(self) -> Term:
        near, not_near = tuple(self.near), tuple(self.not_near)
        return Term(self.term, self.kind, self.category, self.score, self.distance, near, not_near, self.within)


COLUMNS = tuple(_Row.model_fields)


def read_bank_file(path: Path) -> list[Term]:
    """The terms of a .csv, .yaml or .yml file of at most 32 MiB; raises BankFileError, InvalidInput or OSError."""
    if path.suffix.lower() not in (".csv", ".yaml", ".yml"):
        raise InvalidInput("file", f"{path.name} is neither .csv nor .yaml")
    if path.stat().st_size > MOST_BYTES:
        raise InvalidInput("file", f"{path.name} is larger than {MOST_BYTES >> 20} MiB")
    return parse_bank(path.read_bytes(), str(path), "csv" if path.suffix.lower() == ".csv" else "yaml")


def parse_bank(data: bytes, source: str, form: Literal["csv", "yaml"]) -> list[Term]:
    """The terms of a file's bytes; raises BankFileError with every mistake at its place."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        column = error.start - (data.rfind(b"\n", 0, error.start) + 1) + 1
        raise BankFileError(source, [Problem(line, column, "", f"not UTF-8 (byte {error.start})")]) from None
    rows = list(_csv_rows(text) if form == "csv" else _yaml_rows(text, source))
    problems = [row for row in rows if isinstance(row, Problem)]
    terms: dict[tuple[str, str], tuple[Term, int]] = {}
    for row in rows:
        if isinstance(row, Problem):
            continue
        term, line = row
        key = (term.kind, term.term if term.kind == "re2" else " ".join(fold(term.term).split()))
        if key in terms:
            problems.append(Problem(line, 1, "term", f"{term.term!r} is in line {terms[key][1]} already"))
        terms[key] = row
    if len(rows) > MOST_TERMS:
        problems.append(Problem(1, 1, "", f"has {len(rows):,} terms, {MOST_TERMS:,} are allowed"))
    if (patterns := sum(term.kind == "re2" for term, _ in terms.values())) > MOST_PATTERNS:
        problems.append(Problem(1, 1, "", f"has {patterns} patterns, {MOST_PATTERNS} are allowed in a bank"))
    if problems:
        raise BankFileError(source, sorted(problems, key=lambda problem: (problem.line, problem.column)))
    return [term for term, _ in terms.values()]


def _csv_rows(text: str) -> Iterator[tuple[Term, int] | Problem]:
    lines = text.split("\n")
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    line = 1
    try:
        header = next(reader, [])
        if "term" not in header or (strange := [name for name in header if name not in COLUMNS]):
            told = unknown("column", strange[0], COLUMNS) if "term" in header else "the header has no column 'term'"
            yield Problem(1, 1, "", f"{told}; columns are {', '.join(COLUMNS)}")
            return
        line = reader.line_num + 1
        for cells in reader:
            if cells:
                yield from _csv_row(header, cells, line, lines[line - 1 : reader.line_num])
            line = reader.line_num + 1
    except csv.Error as error:
        yield Problem(line, 1, "", f"not valid CSV: {error}")


def _csv_row(header: list[str], cells: list[str], line: int, raw: list[str]) -> Iterator[tuple[Term, int] | Problem]:
    if len(cells) != len(header):
        yield Problem(line, 1, "", f"has {len(cells)} cells, the header has {len(header)}")
        return
    try:
        filled = {name: cell for name, cell in zip(header, cells, strict=True) if cell.strip() or name == "term"}
        yield _Row.model_validate(filled).to_term(), line
    except ValidationError as error:
        for details in error.errors():
            name = str(details["loc"][0]) if details["loc"] else "term"
            at = header.index(name) if name in header else 0
            row, column = _cell_place(raw, at)
            yield Problem(line + row, column, name, details["msg"].removeprefix("Value error, "))


def _cell_place(raw: list[str], cell: int) -> tuple[int, int]:
    """Where a cell of a record begins: lines below its first, and the column from 1."""
    quoted = False
    for row, text in enumerate(raw):
        if not cell:
            return row, 1
        for at, letter in enumerate(text):
            quoted ^= letter == '"'
            cell -= letter == "," and not quoted
            if not cell:
                return row, at + 2
    return 0, 1


def _yaml_rows(text: str, source: str) -> Iterator[tuple[Term, int] | Problem]:
    try:
        located = parse(text, source, _SHAPE)
    except PolicyError as error:
        yield from error.problems
        return
    data = located.data
    rows = data.get("terms") if isinstance(data, dict) else None
    if not isinstance(rows, list) or set(data) != {"terms"}:  # type: ignore[call-overload]
        yield located.problem((), _SHAPE)
        return
    for index, row in enumerate(rows):
        try:
            line = located.problem(("terms", index), "").line
            yield _Row.model_validate(row).to_term(), line
        except ValidationError as error:
            for details in error.errors():
                message = details["msg"].removeprefix("Value error, ")
                yield located.problem(("terms", index, *details["loc"]), message)
