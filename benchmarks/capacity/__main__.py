"""The plan for three sizes, as a table and as JSON; docs/capacity.md says how it is reckoned.

Run by `make capacity`: from measured.json, in seconds. SET="peak=3 gpu_seconds=1.2" changes what is assumed;
MEASURE=1 measures this machine first.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.capacity import calibrate
from benchmarks.capacity.assumptions import Assumptions
from benchmarks.capacity.plan import Measured, Plan, Step, plan
from benchmarks.capacity.predict import Met, loaded_machine, planned_house
from benchmarks.capacity.work import learn

RESULTS = Path(__file__).parents[1] / "results" / "capacity.json"
STEPS = (
    Step("2 million a day, one month", 2e6, 60e6),
    Step("100 million a day, one month", 100e6, 3e9),
    Step("a billion registered, 2 million a day", 2e6, 1e9),
)
SIMULATED_CALLS = 4_000
LOAD_SECONDS = 1_000.0  # long enough that chance has no say in what is predicted


def main() -> None:
    """Prints and writes what each step needs, and how far the prediction was from what was not calibrated on."""
    console = Console(width=150, highlight=False)
    if os.environ.get("MEASURE"):
        calibrate.main()
    found = json.loads(calibrate.MEASURED.read_text(encoding="utf-8"))
    measured, assume = read(found), assumptions(os.environ.get("SET", ""))
    plans = [plan(measured, assume, step) for step in STEPS]
    added = [planned_house(measured.work, assume, one, SIMULATED_CALLS / one.demand.calls) for one in plans]
    checks = check(found, measured)
    console.print(
        table(plans, added, found["memory_bytes"]), cost_table(plans), limit_table(plans), check_table(checks)
    )
    RESULTS.parent.mkdir(exist_ok=True)
    result = {
        "assumptions": asdict(assume),
        "plans": [asdict(one) | {"added": asdict(met)} for one, met in zip(plans, added, strict=True)],
        "check": checks,
    }
    RESULTS.write_text(json.dumps(result, indent=1) + "\n")


def read(found: dict[str, Any]) -> Measured:
    """What the plan is reckoned from; the searches that are to be predicted are left out."""
    costs, searched = found["costs"], _searched(found)
    small, large = calibrate.CALIBRATED
    a_row = (searched[large] - searched[small]) / (large - small)
    return Measured(
        work=learn({name: cost["cpu"] for name, cost in costs.items()}),
        transactions={name: cost["transactions"] for name, cost in costs.items()},
        wal_bytes={name: cost["wal_bytes"] for name, cost in costs.items()},
        row_bytes=found["rows"]["bytes"],
        search_base=searched[small] - a_row * small,
        search_a_row=a_row,
    )


def assumptions(changes: str) -> Assumptions:
    """The defaults with "name=value" changes, separated by spaces; ends with a message for an unknown name."""
    known = {one.name: type(getattr(Assumptions(), one.name)) for one in fields(Assumptions)}
    changed: dict[str, Any] = {}
    for name, _, value in (change.partition("=") for change in changes.split()):
        if known.get(name) not in (int, float):
            raise SystemExit(f"SET: there is no number called {name}; there are {', '.join(known)}")
        changed[name] = known[name](value)
    return replace(Assumptions(), **changed)


def check(found: dict[str, Any], measured: Measured) -> dict[str, dict[str, float]]:
    """Predicted, measured and the error, of points that nothing was calibrated on."""
    met = found["check"]
    idle = sum(found["idle_cores"].values())
    predicted = loaded_machine(
        measured.work, met["callers"], met["cores"], LOAD_SECONDS, idle, found["machine"]["cores"]
    )
    pairs = {name: (value, met[name]) for name, value in asdict(predicted).items()}
    for rows in calibrate.CHECKED:
        search = measured.search_base + measured.search_a_row * rows
        pairs[f"CPU seconds of a search among {rows:,}"] = (search, _searched(found)[rows])
    return {
        name: {"predicted": value, "measured": real, "error": value / real - 1} for name, (value, real) in pairs.items()
    }


def _searched(found: dict[str, Any]) -> dict[int, float]:
    """CPU seconds of a search by the number of registered hashes."""
    return {point["rows"]: point["cpu_seconds"] for point in found["searches"]}


def table(plans: list[Plan], added: list[Met], memory: dict[str, float]) -> Table:
    """What each step needs at the busiest hour; `memory` are bytes of a pod by part."""
    shown = Table("at the busiest hour", *(one.step.name for one in plans), title="capacity")
    rows: dict[str, list[str]] = {
        "calls a second": [f"{one.demand.calls:,.1f}" for one in plans],
        "pictures a second": [f"{one.pictures:,.0f}" for one in plans],
        "GPUs": [f"{one.gpus:,}" for one in plans],
        **{
            f"pods: {part}, {memory[part] / 1e6:.0f} MB": [f"{one.pods[part]:,}" for one in plans]
            for part in plans[0].pods
        },
        "Postgres: cores": [f"{one.demand.postgres_cores:,.1f}" for one in plans],
        "Postgres: of these for look-alikes": [f"{one.demand.search_cores:,.1f}" for one in plans],
        "Postgres: connections": [f"{one.demand.connections:,}" for one in plans],
        "Postgres: transactions a second": [f"{one.transactions:,.0f}" for one in plans],
        "Postgres: write-ahead log, MB/s": [f"{one.demand.wal_bytes / 1e6:,.1f}" for one in plans],
        "look-alike search, CPU seconds": [f"{one.demand.search_seconds:,.1f}" for one in plans],
        **{
            f"stored, GB: {what}": [f"{one.demand.stored[what] / 1e9:,.0f}" for one in plans]
            for what in plans[0].demand.stored
        },
        "broker, messages a second": [f"{one.broker_messages:,.1f}" for one in plans],
        "analysts": [f"{one.people:,.0f}" for one in plans],
        "added to a creation, s: median (95%)": [f"{met.median_seconds:.2f} ({met.p95_seconds:.2f})" for met in added],
    }
    for name, cells in rows.items():
        shown.add_row(name, *cells)
    return shown


def cost_table(plans: list[Plan]) -> Table:
    """Dollars of a thousand pictures."""
    shown = Table("$ a thousand pictures", *(one.step.name for one in plans))
    for stage in plans[0].cost:
        shown.add_row(stage, *(f"{one.cost[stage]:.3f}" for one in plans))
    shown.add_row("all", *(f"{sum(one.cost.values()):.3f}" for one in plans), style="bold")
    return shown


def limit_table(plans: list[Plan]) -> Table:
    """What ends first at each step, by how full it is."""
    shown = Table("step", "what is full first", "needed", "of at most", "full", "what to do", title="bottlenecks")
    for one in plans:
        for limit in one.limits[:3]:
            cells = (f"{limit.need:,.4g} {limit.unit}", f"{limit.most:,.4g}", f"{limit.load:,.0%}", limit.mend)
            shown.add_row(one.step.name, limit.what, *cells)
        shown.add_section()
    return shown


def check_table(checks: dict[str, dict[str, float]]) -> Table:
    """The prediction beside the measurement."""
    shown = Table("not calibrated on", "predicted", "measured", "error", title="check")
    for name, row in checks.items():
        shown.add_row(name, f"{row['predicted']:.4g}", f"{row['measured']:.4g}", f"{row['error']:+.0%}")
    return shown


if __name__ == "__main__":
    main()
