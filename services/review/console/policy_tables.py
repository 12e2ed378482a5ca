"""A policy as tables: whatever its sections hold, in the order in which they are written. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import unified_diff
from itertools import islice
from typing import Literal

from services.core.policy.categories import CATEGORIES, STAGES
from services.core.policy.document import Policy
from services.core.policy.fields import Section
from services.core.policy.limits import Limit
from services.core.policy.schema import NEVER
from services.core.verdicts import Tier

Kind = Literal["same", "added", "removed", "place"]


@dataclass(frozen=True, slots=True)
class Table:
    """What stands at `path` of the document: columns, and rows as long as they are."""

    path: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a difference."""

    kind: Kind
    text: str


def tables_of(section: Section, path: str) -> list[Table]:
    """A section's own values as one table of two columns, and one for each collection of entries that are alike."""
    own: list[tuple[str, str]] = []
    tables: list[Table] = []
    for name, value in section:
        entries = _entries(value)
        if entries:
            tables.append(_table(f"{path}.{name}", entries))
        elif isinstance(value, Section):
            tables += tables_of(value, f"{path}.{name}")
        else:
            own.append((name, words(value)))
    head = [Table(path, ("what", "value"), tuple(own))] if own else []
    together = _entries(section)
    return [_table(path, together)] if together and not own else [*head, *tables]


def shadowed(section: Section, path: str = "") -> Iterator[str]:
    """Where in a document something is in shadow: recorded, and not done."""
    if getattr(section, "mode", None) == "shadow":
        yield path
    for name, value in section:
        inner = {"": value} if isinstance(value, Section) else _sections(value)
        for key, each in inner.items():
            yield from shadowed(each, ".".join(part for part in (path, name, key) if part))


def thresholds(policy: Policy, tier: Tier) -> Table:
    """What holds for each category at each stage for accounts of a tier: from where on review, and block."""
    rows = [(category, *(_limit(policy.limits[category, stage, tier]) for stage in STAGES)) for category in CATEGORIES]
    return Table("categories", ("category", *STAGES), tuple(rows))


def difference(before: str, after: str) -> list[Line]:
    """What two texts differ in, line by line with three around each change; empty where they are the same."""
    kinds: Mapping[str, Kind] = {"+": "added", "-": "removed", "@": "place"}
    lines = unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=3)
    return [Line(kinds.get(line[:1], "same"), line) for line in islice(lines, 2, None)]  # without the files' names


def words(value: object) -> str:
    """A value as a policy writes it; empty for what is not said."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return "never" if value == NEVER else f"{value:g}"
    if isinstance(value, Section):
        return ", ".join(f"{name}: {words(each)}" for name, each in value if each is not None)
    if isinstance(value, Mapping):
        return ", ".join(f"{name}: {words(each)}" for name, each in value.items())
    if isinstance(value, (list, tuple, set, frozenset)):
        return ", ".join(map(words, value))
    return str(value)


def _limit(limit: Limit) -> str:
    shown = f"{words(limit.review)} / {words(limit.block)}"
    return shown if limit.held else f"{shown}, released"


def _entries(value: object) -> Mapping[str, Section]:
    """A value's entries by name, if it is a collection of two or more and of nothing else."""
    if isinstance(value, Section):
        fields = dict(value)
        return fields if len(fields) > 1 and all(isinstance(each, Section) for each in fields.values()) else {}
    return _sections(value)


def _sections(value: object) -> Mapping[str, Section]:
    if isinstance(value, Mapping):
        return {str(name): each for name, each in value.items() if isinstance(each, Section)}
    if isinstance(value, Sequence):
        return {str(place): each for place, each in enumerate(value, 1) if isinstance(each, Section)}
    return {}


def _table(path: str, entries: Mapping[str, Section]) -> Table:
    """One row for each entry; only the columns in which some entry says something."""
    fields = dict.fromkeys(name for entry in entries.values() for name, value in entry if value not in (None, []))
    rows = [(name, *(words(getattr(entry, field, None)) for field in fields)) for name, entry in entries.items()]
    return Table(path, ("", *fields), tuple(rows))
