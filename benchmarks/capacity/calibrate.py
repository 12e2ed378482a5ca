"""Measures what the plan is reckoned from, and the load that it is checked on; writes measured.json beside it.

Run by `make capacity MEASURE=1` (half an hour on a quiet machine).
"""

from __future__ import annotations

import asyncio
import json
import os
import platform
import tempfile
from dataclasses import asdict
from pathlib import Path

from rich.console import Console

from benchmarks.capacity import calls, load, rows, search
from benchmarks.capacity.meter import Meter
from portcullis import Client

MEASURED = Path(__file__).with_name("measured.json")
IDLE_SECONDS = 20.0
LOAD_SECONDS = 90.0
REQUESTS = 100_000
# Registered hashes among which is searched: the plan is reckoned from the first two, and checked on the others.
CALIBRATED, CHECKED = (20_000, 1_000_000), (300_000, 3_000_000)


def main() -> None:
    """Starts a house, measures call by call, then all at once; fills a Postgres with what it recorded."""
    tell = Console(highlight=False).print
    with tempfile.TemporaryDirectory() as folder:
        with calls.house(Path(folder) / "home", tell) as house, Client(house.profile) as client:
            meter = Meter(house)
            costs = {}
            meter.learn_idle(IDLE_SECONDS)
            for name, (times, call) in calls.calls(client).items():
                costs[name] = {**asdict(meter.cost(times, call)), "times": times}
                tell(name, {part: round(used, 4) for part, used in costs[name]["cpu"].items() if used > 0.0005})
            met = load.run(client, meter, LOAD_SECONDS)
            tell(met)
            memory = meter.memory()
            of = asyncio.run(rows.sample(house))
        with tempfile.TemporaryDirectory() as apart:
            bytes_a_row = rows.measure(Path(apart), of, REQUESTS)
            tell(bytes_a_row)
    searches = [{"rows": number, "cpu_seconds": search.cpu_seconds(number)} for number in (*CALIBRATED, *CHECKED)]
    tell(searches)
    found = {
        "machine": {"cores": os.cpu_count(), "processor": _processor()},
        "idle_cores": meter.idle,
        "costs": costs,
        "memory_bytes": memory,
        "rows": {"requests": REQUESTS, "bytes": bytes_a_row},
        "searches": searches,
        "check": asdict(met),
    }
    MEASURED.write_text(json.dumps(found, indent=1) + "\n")


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


if __name__ == "__main__":
    main()
