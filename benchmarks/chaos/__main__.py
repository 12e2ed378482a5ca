"""What becomes of a house when what it needs fails: a table, made by failing it.

    make chaos                                              # every fault on everything; some half an hour
    python -m benchmarks.chaos --only killed --only broker  # those whose name has one of these words
    python -m benchmarks.chaos --only broker --broker rabbitmq
    python -m benchmarks.chaos --list

Each row: the fault is inflicted while two platforms send steadily, lasts for a while, is healed (or heals by itself),
and it is waited until everything is answered again. At the end every request without an answer is sent once more, and
what callers were told is laid beside the books in Postgres. Exit code 1 where something happened that never may.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import tempfile
import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from benchmarks.brokers import Server
from benchmarks.chaos import books, report
from benchmarks.chaos.faults import MODEL, Fault, all_faults
from benchmarks.chaos.place import ChaosHouse, running
from benchmarks.chaos.report import Row
from benchmarks.chaos.traffic import Traffic
from services.core.store.requests import LEASE_SECONDS
from services.generator.checkpoint import folder_digest

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks" / "results"
LONGEST_SECONDS = 90.0  # to be well again; then the row says it was not
LEAST_SECONDS = 12.0  # so that every kind of request meets the fault
QUIET_SECONDS = 5.0  # without a failure: well
CALM_SECONDS = 6.0  # before the first fault
DELIVERY_SECONDS = 60.0  # for the last items to reach their queue
console = Console(width=160)


async def _measure(faults: list[Fault], seed: int, broker: Server) -> tuple[list[Row], books.Findings, dict[str, int]]:
    task = asyncio.current_task()
    assert task is not None, "asyncio.run made one"
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)  # or its processes and disks would stay
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        shutil.copytree(ROOT / "models" / "scenes", folder / MODEL)
        models = {
            "PORTCULLIS_GENERATOR_MODEL": str(folder / MODEL),
            "PORTCULLIS_GENERATOR_MODEL_SHA256": folder_digest(folder / MODEL),
        }
        async with running(folder, models, broker) as house:
            console.print("the house is up")
            traffic = Traffic(house, seed)
            flow = asyncio.create_task(traffic.flow())
            try:
                await asyncio.sleep(CALM_SECONDS)
                rows = [await _row(house, traffic, fault) for fault in faults]
            finally:
                flow.cancel()
                await asyncio.gather(flow, return_exceptions=True)
            console.print("what has no answer yet is sent once more")
            await traffic.finish(LEASE_SECONDS + 30)
            found = await _settled(house, traffic)
            await traffic.close()
            return rows, found, report.totals(traffic.requests)


async def _row(house: ChaosHouse, traffic: Traffic, fault: Fault) -> Row:
    if fault.needs:
        return Row.skipped(fault)
    traffic.row = fault.name
    began = time.monotonic()
    await fault.inflict(house)
    if not fault.by_itself:
        await asyncio.sleep(fault.lasts)
        await fault.heal(house)
    healed = began if fault.by_itself else time.monotonic()
    while time.monotonic() < healed + LONGEST_SECONDS:
        await asyncio.sleep(0.5)
        quiet_since = max(healed, report.last_failure(traffic.requests, began))
        lasted = time.monotonic() - began > LEAST_SECONDS
        if lasted and time.monotonic() - quiet_since > QUIET_SECONDS > traffic.longest_wait:
            break
    row = report.row(fault, traffic.requests, began, healed)
    console.print(f"  {fault.name}: {row.summary}")
    return row


async def _settled(house: ChaosHouse, traffic: Traffic) -> books.Findings:
    """The findings, once the last items have had time to reach their queue."""
    until = time.monotonic() + DELIVERY_SECONDS
    while True:
        found = await asyncio.to_thread(books.audit, house.own_dsn, traffic.requests)
        if not found.undelivered or time.monotonic() > until:
            return found
        await asyncio.sleep(2)


def main(
    only: Annotated[list[str] | None, typer.Option(help="Faults whose name has this; may be given again.")] = None,
    seed: Annotated[int, typer.Option(help="The same seed sends the same requests.")] = 1,
    broker: Annotated[Server, typer.Option(help="What carries the review's errands.")] = "redis",
    show: Annotated[bool, typer.Option("--list", help="Name the faults and do nothing.")] = False,
) -> None:
    """Inflicts every fault and prints what came of it."""
    faults = [fault for fault in all_faults() if not only or any(word in fault.name for word in only)]
    if show:
        for fault in faults:
            console.print(fault.name + (f" (needs {fault.needs})" if fault.needs else ""))
        return
    before = os.getloadavg()[0]
    try:
        rows, found, totals = asyncio.run(_measure(faults, seed, broker))
    except asyncio.CancelledError:
        raise typer.Exit(128 + signal.SIGTERM) from None
    machine = {"broker": broker, "cores": os.cpu_count(), "load_average_before": before}
    figures = report.figures(rows, found, totals) | machine
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "chaos.json").write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    (RESULTS / "chaos.md").write_text(report.markdown(rows), encoding="utf-8")
    console.print(report.table(rows), report.goals(rows, found))
    raise typer.Exit(0 if report.met(rows, found) else 1)


if __name__ == "__main__":
    typer.run(main)
