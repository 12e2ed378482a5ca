"""Abuse in simulated time: how soon the rules as shipped stop it, and what they cost those who mean no harm.

Ten worlds, each 1,000 honest accounts, 10 probing ones and 3 rings of 20 for a month, played on the house's own rules
(`policies/default.yaml`) and its own pure functions. Run by `make sim-abuse`; SEED=n plays ten other worlds. Prints
tables and writes benchmarks/results/abuse.json.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from benchmarks.report.table import Figure, record, table
from benchmarks.simulation.month import Course, Month, live
from benchmarks.simulation.people import Class, World
from services.core.policy.document import load_policy
from services.core.policy.schema import PolicyDocument

POLICY = Path(__file__).parents[1] / "policies" / "default.yaml"
RESULTS = Path(__file__).parent / "results" / "abuse.json"
SOON = 20  # violations
WORLDS = 10
STEPS = ("warned", "cooling", "held", "suspended")
RULES = ("velocity", "block_ratio", "probing", "rings")
CURVE = (0.5, 0.7, 1.0, 1.5, 2.5, 5.0)


@dataclass(slots=True)
class Tally:
    """What became of the accounts of one class over all worlds. Requests are those that were let in."""

    accounts: int = 0
    requests: int = 0
    violations: list[int] = field(default_factory=list[int])
    got_through: int = 0
    stopped: int = 0
    soon: int = 0
    ever: Counter[str] = field(default_factory=Counter[str])
    fired: Counter[str] = field(default_factory=Counter[str])

    def add(self, course: Course, month: Month, account: str) -> None:
        """Counts one account. Soon is stopped, and less than 20 violations tried at any time while it was not."""
        book = month.house.book(account)
        self.accounts += 1
        self.requests += course.requests
        self.violations.append(course.violations)
        self.got_through += course.got_through
        self.stopped += course.stopped_at is not None
        self.soon += course.stopped_at is not None and course.violations < SOON
        self.ever.update(book.ever)
        self.fired.update(book.fired)


Tallies = dict[Class, Tally]


def main(
    seed: Annotated[int, typer.Option(envvar="SEED", help="Which ten worlds: n is 10·n + 1 … 10·n + 10.")] = 1,
    policy: Annotated[Path, typer.Option(help="The policy to play.")] = POLICY,
    curve: Annotated[bool, typer.Option(help="Also play three worlds with all bounds made tighter and wider.")] = False,
) -> None:
    """Plays, prints, writes."""
    console = Console(width=max(Console().width, 120), highlight=False)
    began = time.monotonic()
    document = load_policy(policy.read_text(encoding="utf-8"), policy.name).document
    world, seeds = World(), range(WORLDS * seed + 1, WORLDS * seed + WORLDS + 1)
    each = {number: count([live(world, document, number)]) for number in seeds}
    tallies = together(each.values())
    abusers, honest = _abusers(tallies), tallies["honest"]
    tried = sum(number > 0 for number in abusers.violations)
    stopped, suspended = abusers.soon / abusers.accounts, honest.ever["suspended"] / honest.accounts
    figures = [
        Figure("abusers stopped before their 20th violation", abusers.accounts, stopped, 0.95),
        Figure("the same, of those who tried one", tried, (abusers.soon - abusers.accounts + tried) / tried),
        Figure(
            "the same, of probing accounts",
            tallies["prober"].accounts,
            tallies["prober"].soon / tallies["prober"].accounts,
        ),
        Figure("the same, of ring accounts", tallies["ring"].accounts, tallies["ring"].soon / tallies["ring"].accounts),
        Figure("honest accounts ever suspended", honest.accounts, suspended, 0.001, at_most=True, form="{:.2%}"),
        *(
            Figure(f"honest accounts ever {step}", honest.accounts, honest.ever[step] / honest.accounts, form="{:.2%}")
            for step in STEPS[:-1]
        ),
    ]
    console.print(
        table(f"a month of {len(each)} worlds, seeds {seeds[0]}–{seeds[-1]}, policy {document.name}", figures, {})
    )
    console.print(_classes(tallies))
    console.print(_histogram(tallies))
    console.print(_worlds(each))
    points = _curve(document, world) if curve else []
    if points:
        console.print(_curve_table(points))
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(
        json.dumps(
            {
                "abusers_stopped": stopped,
                "honest_suspended": suspended,
                "figures": record(figures),
                "seeds": list(seeds),
                "world": asdict(world),
                "rules": document.model_dump(mode="json", include={"standing", "anomalies"}),
                "classes": {kind: _plain(tally) for kind, tally in tallies.items()},
                "worlds": {
                    number: {kind: _plain(tally) for kind, tally in found.items()} for number, found in each.items()
                },
                "curve": points,
            },
            indent=2,
        )
        + "\n"
    )
    console.print(
        f"took {time.monotonic() - began:.0f} s; written to {RESULTS.relative_to(Path.cwd())}"
        if RESULTS.is_relative_to(Path.cwd())
        else f"took {time.monotonic() - began:.0f} s"
    )


def count(months: Iterable[Month]) -> Tallies:
    """What became of everybody, by class."""
    tallies: Tallies = {"honest": Tally(), "prober": Tally(), "ring": Tally()}
    for month in months:
        for account, course in month.courses.items():
            tallies[course.kind].add(course, month, account)
    return tallies


def together(tallies: Iterable[Tallies]) -> Tallies:
    """Of several worlds, one."""
    found = list(tallies)
    return {kind: _sum(each[kind] for each in found) for kind in ("honest", "prober", "ring")}


def _sum(tallies: Iterable[Tally]) -> Tally:
    total = Tally()
    for tally in tallies:
        total.accounts += tally.accounts
        total.requests += tally.requests
        total.violations += tally.violations
        total.got_through += tally.got_through
        total.stopped += tally.stopped
        total.soon += tally.soon
        total.ever += tally.ever
        total.fired += tally.fired
    return total


def _abusers(tallies: Tallies) -> Tally:
    return _sum([tallies["prober"], tallies["ring"]])


def _classes(tallies: Tallies) -> Table:
    shown = Table("", *tallies, title="by class")
    rows = {
        "accounts": lambda tally: f"{tally.accounts:,}",
        "requests let in": lambda tally: f"{tally.requests:,}",
        "stopped at all": lambda tally: f"{tally.stopped / tally.accounts:.1%}",
        "before the 20th violation": lambda tally: f"{tally.soon / tally.accounts:.1%}",
        "violations tried while free, median": lambda tally: f"{np.median(tally.violations):.0f}",
        "95th percentile, most": lambda t: f"{np.percentile(t.violations, 95):.0f}, {max(t.violations)}",
        "that no check caught, an account": lambda tally: f"{tally.got_through / tally.accounts:.2f}",
    }
    for name, cell in rows.items():
        shown.add_row(name, *map(cell, tallies.values()))
    for step in STEPS:
        shown.add_row(f"ever {step}", *(f"{tally.ever[step] / tally.accounts:.2%}" for tally in tallies.values()))
    for rule in RULES:
        shown.add_row(f"{rule} fired", *(f"{tally.fired[rule] / tally.accounts:.2%}" for tally in tallies.values()))
    return shown


def _histogram(tallies: Tallies) -> Table:
    """Accounts by the violations that they tried while nothing stopped them."""
    edges = (0, 1, 3, 5, 10, 15, 20, 10**9)
    names = ("none", "1–2", "3–4", "5–9", "10–14", "15–19", "20 and more")
    shown = Table("violations before being stopped", *names)
    for kind in ("prober", "ring"):
        counts, _ = np.histogram(tallies[kind].violations, bins=edges)
        shown.add_row(kind, *map(str, counts))
    return shown


def _worlds(each: dict[int, Tallies]) -> Table:
    shown = Table("seed", "abusers stopped", "honest suspended", *STEPS[:-1], title="world by world")
    for number, tallies in each.items():
        abusers, honest = _abusers(tallies), tallies["honest"]
        shown.add_row(
            str(number),
            f"{abusers.soon}/{abusers.accounts}",
            f"{honest.ever['suspended']}/{honest.accounts}",
            *(str(honest.ever[step]) for step in STEPS[:-1]),
        )
    return shown


def _plain(tally: Tally) -> dict[str, object]:
    counts = Counter(tally.violations)
    return {
        "accounts": tally.accounts,
        "requests": tally.requests,
        "stopped": tally.stopped,
        "stopped_before_20th": tally.soon,
        "uncaught": tally.got_through,
        "ever": {step: tally.ever[step] for step in STEPS},
        "fired": {rule: tally.fired[rule] for rule in RULES},
        "violations_before_stop": {str(number): counts[number] for number in sorted(counts)},
    }


def _curve(document: PolicyDocument, world: World) -> list[dict[str, float]]:
    """Three worlds with all bounds times a factor: what tighter rules would catch, and whom they would meet."""
    points: list[dict[str, float]] = []
    for factor in CURVE:
        tallies = together(count([live(world, stretched(document, factor), number)]) for number in (1, 2, 3))
        abusers, honest = _abusers(tallies), tallies["honest"]
        ever = {step: honest.ever[step] / honest.accounts for step in STEPS}
        points.append({"factor": factor, "abusers_stopped": abusers.soon / abusers.accounts, **ever})
    return points


def stretched(document: PolicyDocument, factor: float) -> PolicyDocument:
    """The policy with the weights of its ladder and the bounds of its anomalies times a factor."""
    plain = document.model_dump(mode="python")
    for step in plain["standing"]["ladder"].values():
        step["weight"] *= factor
    rules = plain["anomalies"]
    rules["block_ratio"]["alarm"] *= factor
    rules["rings"]["strikes"] *= factor
    rules["probing"]["tries"] = max(1, round(rules["probing"]["tries"] * factor))
    changed = {name: type(getattr(document, name)).model_validate(plain[name]) for name in ("standing", "anomalies")}
    return document.model_copy(update=changed)


def _curve_table(points: Sequence[dict[str, float]]) -> Table:
    shown = Table(
        "bounds times", "abusers stopped", *(f"honest {step}" for step in STEPS), title="the trade-off, seeds 1–3"
    )
    for point in points:
        shown.add_row(
            f"{point['factor']:g}", f"{point['abusers_stopped']:.1%}", *(f"{point[step]:.2%}" for step in STEPS)
        )
    return shown


if __name__ == "__main__":
    typer.run(main)
