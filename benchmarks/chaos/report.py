"""The rows of the table, and whether the goals were met."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.table import Table

from benchmarks.chaos.books import Findings
from benchmarks.chaos.faults import Fault
from benchmarks.chaos.traffic import Request

RECOVERY_SECONDS = 30.0
# Answers that say nothing bad of the house: the same request is under way, or the caller asked for what cannot be.
WELL = frozenset({"OK", "ABORTED"})


@dataclass(frozen=True, slots=True)
class Row:
    """One fault: what callers saw while and after it, and how long until all was answered again.

    `seen` counts ends of attempts by code and reason; `longest` is the longest attempt, `recovery` the time from the
    healing (or from the fault, where nobody heals it) to the begin of the first attempt after the last failed one, both
    in seconds; None where it was not well in time. `load` is the machine's load average then, other work included.
    """

    name: str
    seen: dict[str, int]
    attempts: int = 0
    longest: float = 0.0
    recovery: float | None = None
    unfinished: int = 0
    load: float = 0.0
    by_itself: bool = False
    needs: str = ""

    @classmethod
    def skipped(cls, fault: Fault) -> Row:
        """Of a fault that cannot be inflicted here."""
        return cls(fault.name, {}, needs=fault.needs)

    @property
    def failed(self) -> int:
        """Attempts that did not end well."""
        return sum(count for ended, count in self.seen.items() if ended.split()[0] not in WELL)

    @property
    def summary(self) -> str:
        """In a line."""
        well = "not well in time" if self.recovery is None else f"well after {self.recovery:.1f} s"
        return f"{self.failed} of {self.attempts} attempts failed, {well}; {_told(self.seen)}"


def row(fault: Fault, requests: Sequence[Request], began: float, healed: float) -> Row:
    """What came of a fault, from all attempts that began or ended since it was inflicted."""
    own = [a for request in requests for a in request.attempts if a.at + a.seconds >= began]
    seen = Counter(f"{a.code} {a.reason}".strip() for a in own)
    failed_at = [a.at for a in own if a.code not in WELL]
    last = max(failed_at, default=began)
    after = [a.at for a in own if a.code in WELL and a.at > last]
    recovery = None if not after else max(0.0, min(after) - healed) if failed_at else 0.0
    touched = [request for request in requests if any(a.at + a.seconds >= began for a in request.attempts)]
    unfinished = sum(not request.answered for request in touched)
    longest = max((a.seconds for a in own), default=0.0)
    return Row(fault.name, dict(seen), len(own), longest, recovery, unfinished, os.getloadavg()[0], fault.by_itself)


def last_failure(requests: Sequence[Request], since: float) -> float:
    """When the last attempt that failed ended; `since` where none did."""
    ends = (a.at + a.seconds for request in requests for a in request.attempts if a.code not in WELL)
    return max((end for end in ends if end >= since), default=since)


def totals(requests: Sequence[Request]) -> dict[str, int]:
    """How much was asked."""
    return {
        "requests": len(requests),
        "attempts": sum(len(request.attempts) for request in requests),
        "answered": sum(request.answered for request in requests),
        "pictures": sum(len(set(request.images)) for request in requests),
        "held": sum(len(request.held) for request in requests),
    }


def table(rows: Sequence[Row]) -> Table:
    """All rows."""
    shown = Table(
        "fault", "attempts", "failed", "what callers saw", "longest s", "well after s", "load", title="faults"
    )
    for one in rows:
        if one.needs:
            shown.add_row(one.name, "", "", f"not tried: needs {one.needs}", "", "", "")
            continue
        well = "never" if one.recovery is None else f"{one.recovery:.1f}"
        colour = "green" if one.recovery is not None and one.recovery <= RECOVERY_SECONDS else "red"
        numbers = str(one.attempts), str(one.failed)
        shown.add_row(
            one.name, *numbers, _told(one.seen), f"{one.longest:.1f}", f"[{colour}]{well}[/]", f"{one.load:.0f}"
        )
    return shown


def markdown(rows: Sequence[Row]) -> str:
    """The same for docs/faults.md."""
    lines = ["| fault | failed | what callers saw | longest | well after |", "|---|---|---|---|---|"]
    for one in rows:
        if one.needs:
            lines.append(f"| {one.name} | not tried: needs {one.needs} | | | |")
            continue
        well = "not in time" if one.recovery is None else f"{one.recovery:.1f} s"
        codes = "<br>".join(f"`{ended}` {count}" for ended, count in _sorted(one.seen) if ended != "OK") or "nothing"
        lines.append(f"| {one.name} | {one.failed} of {one.attempts} | {codes} | {one.longest:.1f} s | {well} |")
    return "\n".join(lines) + "\n"


def goals(rows: Sequence[Row], found: Findings) -> Table:
    """What must never happen, and whether it did."""
    shown = Table("goal", "found", "", title="by the books")
    for name, count, most in _goals(rows, found):
        shown.add_row(name, str(count), "[green]✓[/]" if count <= most else "[red]✗[/]")
    return shown


def met(rows: Sequence[Row], found: Findings) -> bool:
    """Whether every goal was met."""
    return all(count <= most for _, count, most in _goals(rows, found))


def figures(rows: Sequence[Row], found: Findings, asked: dict[str, int]) -> dict[str, Any]:
    """Everything, fit for JSON."""
    return {
        "asked": asked,
        "rows": [asdict(one) | {"failed": one.failed} for one in rows],
        "goals": {name: {"found": count, "most": most} for name, count, most in _goals(rows, found)},
        "breaches": asdict(found),
    }


def _goals(rows: Sequence[Row], found: Findings) -> list[tuple[str, int, int]]:
    slow = [one for one in rows if not one.needs and (one.recovery is None or one.recovery > RECOVERY_SECONDS)]
    return [
        ("unchecked pictures out", len(found.unchecked), 0),
        ("acknowledged answers or cases lost", len(found.lost) + len(found.undelivered), 0),
        ("charged twice", len(found.charged_twice), 0),
        ("answers of another tenant or request", len(found.wrong_tenant), 0),
        ("rendered and not charged", len(found.not_charged), 0),
        ("without an answer in the end", len(found.unanswered), 0),
        (f"not well within {RECOVERY_SECONDS:.0f} s", len(slow), 0),
    ]


def _told(seen: dict[str, int]) -> str:
    return ", ".join(f"{count} {ended}" for ended, count in _sorted(seen))


def _sorted(seen: dict[str, int]) -> list[tuple[str, int]]:
    return sorted(seen.items(), key=lambda item: -item[1])
