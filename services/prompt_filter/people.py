"""Public figures by name: the gazetteer that ships with the house (data/people/*.csv, data/officials.txt) as people."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

from services.core.errors import ConfigurationError
from services.prompt_filter.words import spelled

PUBLIC_FIGURE, HISTORICAL = "public_figure", "public_figure.historical"
ROLES = frozenset(
    [
        "state",
        "politics",
        "royalty",
        "religion",
        "art",
        "entertainment",
        "sport",
        "business",
        "science",
        "media",
        "other",
    ]
)
_ARTIST = "art"
_MAKERS = (_ARTIST, "entertainment", "media", "other")
COLUMNS = ["name", "aliases", "role", "country", "died", "hints"]
# Members of Congress share their names with many others: enough for a look, not for a refusal.
CERTAIN, LESS_KNOWN = 0.95, 0.5
# Who died longer ago than this is history (a lifetime plus seventy years is also the usual term of copyright).
HISTORICAL_YEARS = 70


@dataclass(frozen=True, slots=True)
class Person:
    """A public figure.

    `aliases` are other names; `died` is a year, None while alive. Where there are `hints` (folded as `words.spelled`
    does), `name` and aliases of one word may mean something else, and a hint nearby confirms the person. `score` 0…1 is
    the most that a match says. A `maker` is named for works and styles as well ("a meadow by …"); an `artist`, one of
    them, wherever nothing shows the person ("a meadow, …, oil on canvas").
    """

    name: str
    aliases: tuple[str, ...] = ()
    died: int | None = None
    hints: frozenset[str] = frozenset()
    score: float = CERTAIN
    maker: bool = False
    artist: bool = False

    def historical(self, year: int) -> bool:
        """Whether the person is history in `year`."""
        return self.died is not None and year - self.died > HISTORICAL_YEARS


def shipped_people() -> Iterator[Person]:
    """The people of the house's own gazetteer; raises ConfigurationError with file and line where one is malformed."""
    folder = files(__package__).joinpath("data")
    for file in sorted(folder.joinpath("people").iterdir(), key=lambda file: file.name):
        if file.name.endswith(".csv"):
            yield from read_people(file.read_text(encoding="utf-8"), file.name)
    for line in folder.joinpath("officials.txt").read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            name, *aliases = (part.strip() for part in line.split("|"))
            yield Person(name, tuple(aliases), score=LESS_KNOWN)


def read_people(text: str, source: str) -> Iterator[Person]:
    """The people of a CSV in the gazetteer's form; raises ConfigurationError with `source` and line."""
    rows = csv.reader(text.splitlines(), strict=True)
    if next(rows, None) != COLUMNS:
        raise ConfigurationError(f"{source} line 1: the header must be {','.join(COLUMNS)}")
    for row in rows:
        if len(row) != len(COLUMNS):
            raise ConfigurationError(f"{source} line {rows.line_num}: {len(COLUMNS)} columns are needed")
        name, aliases, role, _, died, hints = (cell.strip() for cell in row)
        if not name or role not in ROLES or not (died == "" or died.lstrip("-").isdecimal()):
            raise ConfigurationError(f"{source} line {rows.line_num}: needs a name, a known role, a year or nothing")
        year = int(died) if died else None
        yield Person(name, _split(aliases), year, _folded(hints), maker=role in _MAKERS, artist=role == _ARTIST)


def _split(cell: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in cell.split("|") if part.strip())


@lru_cache(4096)  # many share theirs
def _folded(hints: str) -> frozenset[str]:
    return frozenset(" ".join(spelled(hint)) for hint in _split(hints))
