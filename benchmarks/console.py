"""Every page of the console with 1,000,000 cases behind it: how long the server takes for it.

Run by `make bench-review`; prints a table and writes benchmarks/results/console.json. ITEMS=n: fewer cases.
The console is the process that a house runs; somebody who is signed in asks it over its socket. Postgres and console
have just started, so that the first view of a page finds nothing in memory; twenty views follow, page after page. A
time is what lies between the request and the last byte of the answer, on the same machine.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from http.client import HTTPConnection
from pathlib import Path
from statistics import median, quantiles

import psycopg
from rich.console import Console

from benchmarks.house import past, postgres, visited
from benchmarks.house.visited import Visit
from benchmarks.report.table import Figure, table

ROOT = Path(__file__).parents[1]
RESULTS = Path(__file__).parent / "results" / "console.json"
ITEMS = int(os.environ.get("ITEMS", "1000000"))
VIEWS = 20
GOAL = 150.0
START_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Times:
    """A page's times in milliseconds: its first view, and those that followed."""

    first_ms: float
    median_ms: float
    p95_ms: float


def main() -> None:
    """Fills a house, looks at every page of its console, prints the table and writes the figures."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        with postgres.running(home) as dsn:
            asyncio.run(postgres.govern(dsn))
            with psycopg.connect(dsn, autocommit=True) as conn:
                past.fill(conn, ITEMS)
            visit = asyncio.run(visited.prepare(dsn, home))
        with postgres.running(home) as dsn, console(home, dsn) as port:
            times = measure(port, visit)
    report(times)
    RESULTS.parent.mkdir(exist_ok=True)
    figures = {"items": ITEMS, "goal_ms": GOAL, "pages": {name: asdict(each) for name, each in times.items()}}
    RESULTS.write_text(json.dumps(figures, indent=2) + "\n")


@contextmanager
def console(home: Path, dsn: str) -> Iterator[int]:
    """Runs the console's process for the length of a block; yields the port on which it serves."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = int(probe.getsockname()[1])
    environment = os.environ | {
        "PORTCULLIS_HOME": str(home),
        "PORTCULLIS_DSN": dsn,
        "PORTCULLIS_CONSOLE_PORT": str(port),
        "PORTCULLIS_CONSOLE_METRICS_PORT": "0",
    }
    with (home / "console.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "services.review.console"], cwd=ROOT, env=environment, stdout=log, stderr=log
        )
    try:
        deadline = time.monotonic() + START_SECONDS
        while not _serves(port):
            if process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit("the console did not start:\n" + (home / "console.log").read_text())
            time.sleep(0.1)
        yield port
    finally:
        process.terminate()
        process.wait()


def measure(port: int, visit: Visit) -> dict[str, Times]:
    """Views every page once, and then all of them twenty times over."""
    connection = HTTPConnection("127.0.0.1", port)
    first = {name: view(connection, address, visit.cookie) for name, address in visit.pages.items()}
    later = [
        {name: view(connection, address, visit.cookie) for name, address in visit.pages.items()} for _ in range(VIEWS)
    ]
    return {name: _times(once, [times[name] for times in later]) for name, once in first.items()}


def view(connection: HTTPConnection, address: str, cookie: str) -> float:
    """Milliseconds that one view of a page takes."""
    begun = time.perf_counter()
    connection.request("GET", address, headers={"Cookie": cookie})
    answer = connection.getresponse()
    answer.read()
    took = time.perf_counter() - begun
    if answer.status != 200:
        raise SystemExit(f"{address} answers with {answer.status}")
    return took * 1000


def report(times: Mapping[str, Times]) -> None:
    """Prints the table."""
    shown = table(
        f"pages of the console, {ITEMS:,} cases; {VIEWS} views and the first one",
        [_figure(name, each.p95_ms) for name, each in times.items()],
        {
            "median": [_figure(name, each.median_ms) for name, each in times.items()],
            "first": [_figure(name, each.first_ms) for name, each in times.items()],
        },
        ours="95%",
    )
    Console().print(shown)
    late = [f"{name} {each.first_ms:.0f} ms" for name, each in times.items() if each.first_ms > GOAL]
    Console().print(f"first views that took longer than {GOAL:.0f} ms: {', '.join(late) or 'none'}")


def _figure(name: str, milliseconds: float) -> Figure:
    return Figure(name, VIEWS, milliseconds, GOAL, at_most=True, form="{:.0f} ms")


def _times(first: float, later: Sequence[float]) -> Times:
    return Times(first, median(later), quantiles(later, n=20)[-1])


def _serves(port: int) -> bool:
    try:
        connection = HTTPConnection("127.0.0.1", port, timeout=5)
        connection.request("GET", "/health")
        return connection.getresponse().status == 200
    except OSError:
        return False


if __name__ == "__main__":
    main()
