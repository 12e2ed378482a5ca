"""What a run came to: throughput, latencies, refusals by reason, use of the machine; as figures and as tables."""

from __future__ import annotations

from array import array
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from rich.console import Group
from rich.table import Table

from services.commands.load_run import Outcome
from services.commands.load_usage import Used

QUANTILES = {"p50": 50, "p95": 95, "p99": 99}
# What a house says that has no room now; it is no failure, and the caller is told when to come again.
OVERLOAD = frozenset({"RESOURCE_EXHAUSTED"})
# What the caller did wrong, or what the standing of the account forbids.
ASKED_WRONG = frozenset({"INVALID_ARGUMENT", "FAILED_PRECONDITION"})
LATENCY_STEPS = ("check", "revise", "queue", "render", "screen", "mark")  # in the order of the way
MIB = 1024 * 1024


class Times:
    """Durations in seconds, all kept: percentiles are exact, at 8 bytes a request."""

    def __init__(self) -> None:
        self._values = array("d")

    def add(self, seconds: float) -> None:
        """One more."""
        self._values.append(seconds)

    def __len__(self) -> int:
        return len(self._values)

    def milliseconds(self) -> dict[str, float]:
        """Percentiles and the longest, in milliseconds; empty without any."""
        if not self._values:
            return {}
        values = np.asarray(self._values) * 1000
        found = np.percentile(values, list(QUANTILES.values()))
        return {name: round(float(value), 2) for name, value in zip(QUANTILES, found, strict=True)} | {
            "max": round(float(values.max()), 2)
        }


@dataclass(slots=True)
class Tally:
    """What came of the requests of one window, `seconds` long; those that arrived before `begins` are not counted."""

    seconds: float = 0.0
    begins: float = 0.0
    asked: int = 0
    pictures: int = 0
    last_answer: float = 0.0
    answered: dict[str, Times] = field(default_factory=lambda: defaultdict(Times))
    steps: dict[str, Times] = field(default_factory=lambda: defaultdict(Times))
    late: Times = field(default_factory=Times)
    verdicts: Counter[tuple[str, str]] = field(default_factory=Counter[tuple[str, str]])
    refused: Counter[tuple[str, str]] = field(default_factory=Counter[tuple[str, str]])
    errors: Counter[tuple[str, str]] = field(default_factory=Counter[tuple[str, str]])

    def add(self, outcome: Outcome) -> None:
        """Counts one outcome."""
        if outcome.at < self.begins:
            return
        self.asked += 1
        self.late.add(outcome.late)
        if outcome.code != "OK":
            self.errors[outcome.code, outcome.reason] += 1
            return
        self.pictures += outcome.pictures
        self.last_answer = max(self.last_answer, outcome.at + outcome.seconds)
        self.answered[outcome.kind].add(outcome.seconds)
        self.answered["all"].add(outcome.seconds)
        self.verdicts[outcome.flavour, outcome.verdict] += 1
        for category in set(outcome.categories):
            self.refused[outcome.verdict, category] += 1
        if outcome.kind in ("create", "edit", "variation"):
            for step, seconds in outcome.steps.items():
                self.steps[step].add(seconds)

    @property
    def done(self) -> int:
        """Requests that were answered."""
        return sum(self.verdicts.values())

    @property
    def throughput(self) -> float:
        """Answers a second, from the window's begin to its end or to the last answer, whichever is later."""
        lasted = max(self.seconds, self.last_answer) - self.begins
        return self.done / lasted if lasted > 0 else 0.0

    @property
    def overloaded(self) -> float:
        """The share that was refused for want of room."""
        return self._share(OVERLOAD)

    @property
    def failed(self) -> float:
        """The share that failed otherwise, and by no fault of the caller's."""
        failures = {code for code, _ in self.errors} - OVERLOAD - ASKED_WRONG
        return self._share(failures)

    def _share(self, codes: frozenset[str] | set[str]) -> float:
        return sum(count for (code, _), count in self.errors.items() if code in codes) / max(1, self.asked)

    def latency(self, quantile: str, kind: str = "all") -> float:
        """A percentile of the answers' latency in milliseconds; 0 without answers."""
        return self.answered[kind].milliseconds().get(quantile, 0.0)

    def figures(self) -> dict[str, Any]:
        """Everything, fit for JSON."""
        return {
            "seconds": round(self.seconds - self.begins, 2),
            "asked": self.asked,
            "answered": self.done,
            "pictures": self.pictures,
            "throughput_per_second": round(self.throughput, 3),
            "refused_for_want_of_room": round(self.overloaded, 5),
            "failed": round(self.failed, 5),
            "latency_ms": {kind: _counted(times) for kind, times in sorted(self.answered.items()) if len(times)},
            "steps_ms": {step: _counted(times) for step, times in self._ordered_steps()},
            "sender_late_ms": self.late.milliseconds(),
            "verdicts": _nested(self.verdicts),
            "refused_by_policy": _nested(self.refused),
            "errors": _nested(self.errors),
        }

    def _ordered_steps(self) -> Iterator[tuple[str, Times]]:
        order = {step: place for place, step in enumerate(LATENCY_STEPS)}
        return iter(sorted(self.steps.items(), key=lambda item: order.get(item[0], len(order))))

    def show(self, title: str) -> Group:
        """The figures as tables."""
        parts = [self._latencies(title), self._outcomes()]
        if late := self.late.milliseconds().get("p99", 0.0):
            parts.append(Table(f"requests were sent up to {late:.0f} ms (p99) after they were due", box=None))
        return Group(*parts)

    def _latencies(self, title: str) -> Table:
        table = Table("", "number", "p50 ms", "p95 ms", "p99 ms", "max ms", title=title)
        for kind, times in sorted(self.answered.items(), key=lambda item: item[0] != "all"):
            if len(times):
                table.add_row("answered" if kind == "all" else f"  {kind}", *_cells(times))
        table.add_section()
        for step, times in self._ordered_steps():
            table.add_row(f"step {step}", *_cells(times))
        return table

    def _outcomes(self) -> Table:
        rate = f"{self.throughput:.2f} answers/s, {self.pictures} pictures"
        table = Table("what came", "why", "number", "share", title=rate)
        for (flavour, verdict), count in sorted(self.verdicts.items()):
            table.add_row(f"{verdict} of {flavour}", "", str(count), f"{count / max(1, self.asked):.1%}")
        for (verdict, category), count in self.refused.most_common():
            table.add_row(f"  {verdict}", category, str(count), f"{count / max(1, self.asked):.1%}")
        for (code, reason), count in self.errors.most_common():
            table.add_row(code, reason, str(count), f"{count / max(1, self.asked):.1%}", style="red")
        return table


def usage_figures(used: Mapping[str, Used], seconds: float, answered: int) -> dict[str, Any]:
    """What each service used, fit for JSON."""
    return {
        name: {
            "cpu_seconds": round(one.cpu, 2),
            "cores": round(one.cpu / seconds, 3) if seconds else 0.0,
            "cpu_ms_per_answer": round(1000 * one.cpu / answered, 2) if answered else None,
            "memory_mib": [round(value / MIB, 1) for value in (one.memory[0], max(one.memory), one.memory[-1])],
            "open_files": [int(value) for value in (one.files[0], max(one.files), one.files[-1])] if one.files else [],
        }
        for name, one in sorted(used.items())
        if one.memory
    }


def usage_table(figures: Mapping[str, Any]) -> Table:
    """The same as a table; memory and open files at the first look, at most, at the last."""
    table = Table("service", "CPU s", "cores", "CPU ms/answer", "memory MiB", "open files", title="what it took")
    for name, one in figures.items():
        each = "" if one["cpu_ms_per_answer"] is None else f"{one['cpu_ms_per_answer']:.1f}"
        memory = " · ".join(f"{value:.0f}" for value in one["memory_mib"])
        files = " · ".join(map(str, one["open_files"]))
        table.add_row(name, f"{one['cpu_seconds']:.1f}", f"{one['cores']:.2f}", each, memory, files)
    return table


def _counted(times: Times) -> dict[str, float]:
    return {"number": len(times), **times.milliseconds()}


def _cells(times: Times) -> Sequence[str]:
    found = times.milliseconds()
    return [str(len(times)), *(f"{found[name]:.1f}" for name in (*QUANTILES, "max"))]


def _nested(counts: Counter[tuple[str, str]]) -> dict[str, dict[str, int]]:
    nested: dict[str, dict[str, int]] = {}
    for (outer, inner), count in sorted(counts.items()):
        nested.setdefault(outer, {})[inner] = count
    return nested
