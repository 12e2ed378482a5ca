"""A whole house under load: what it bears, what it says when that is too much, what it keeps after an hour.

    make bench-load                     # ten minutes of overload, an hour of soak: some 90 minutes
    make bench-load MINUTES=2           # both shortened to so many minutes
    python benchmarks/load.py --only overload --minutes 2

A table and a line of benchmarks/results/load.json for each part. All requests come from `portcullis load`'s own parts:
they arrive at random whatever the house does, and their latency counts from the moment they were due.
"""

from __future__ import annotations

import asyncio
import json
import os
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from random import Random
from statistics import median
from typing import Annotated, Any

import httpx
import typer
from prometheus_client.parser import text_string_to_metric_families
from rich.console import Console
from rich.table import Table

from benchmarks import load_path
from benchmarks.report.table import Figure, record, table
from demo.running import RunningHouse, running_house
from portcullis.aio import AsyncClient
from portcullis.errors import PortcullisError
from services.commands.load_arrivals import poisson
from services.commands.load_mix import Mix, asks
from services.commands.load_ramp import Step, climb, ramp_figures, ramp_table
from services.commands.load_run import Rendering, Run
from services.commands.load_tally import MIB, Tally, usage_figures, usage_table
from services.commands.load_usage import Watch, local_meter
from services.core.config import METRICS_OFFSET, HouseSettings

RESULTS = Path(__file__).parent / "results"
CHECKS = Mix({"check": 1.0})
DEFAULT = Mix()
CREATE = Mix({"create": 1.0}, violating=0.0, hostile=0.0)
RENDERING = Rendering(count=1)
ACCOUNTS = 1000
SLOWER = 3.0
RAMP_SECONDS = 20.0
UNLOADED, SOAKED, TWICE = 0.3, 0.5, 2.0  # of the saturation point
RECOVERED = 2.0  # times the unloaded p99: a probe that is answered within it finds the house as it was
GPU_SECONDS = 2.0  # what the goal takes a creation to cost on a GPU
console = Console(width=120)


class Part(StrEnum):
    """What can be measured alone."""

    CHECKS = "checks"
    CREATING = "creating"
    PATH = "path"
    OVERLOAD = "overload"
    SOAK = "soak"


@dataclass(slots=True)
class Most:
    """The longest lines that were seen."""

    render_queue: float = 0.0
    gateway_in_flight: float = 0.0


@dataclass(frozen=True, slots=True)
class Bench:
    """A running house, and who asks it."""

    house: RunningHouse
    client: AsyncClient

    @property
    def settings(self) -> HouseSettings:
        """As the rooms have them."""
        return HouseSettings(home=self.house.home, port_base=self.house.port_base)

    async def send(self, mix: Mix, rate: float, seconds: float, seed: int = 1) -> Tally:
        """Load of a kind for a while; returns when the last answer is there."""
        tally = Tally(seconds, begins=min(3.0, seconds / 4))
        requests = asks(mix, ACCOUNTS, Random(seed))
        run = Run(self.client, RENDERING, tally.add)
        await run.go(poisson(rate, seconds, Random(f"{seed} {rate}")), requests, asyncio.Event())
        return tally

    async def saturation(self, mix: Mix, rate: float) -> tuple[dict[str, Any], float]:
        """The ramp's figures, and the most that was borne."""
        steps: list[Step] = []
        async for step in climb(rate, SLOWER, lambda at: self.send(mix, at, RAMP_SECONDS)):
            steps.append(step)
            console.print(f"  {step.rate:.2f}/s: p95 {step.tally.latency('p95'):.0f} ms, borne {step.borne}")
        console.print(ramp_table(steps))
        figures = ramp_figures(steps)
        return figures, figures["saturation_per_second"] or rate

    @asynccontextmanager
    async def watched(self) -> AsyncIterator[Watch]:
        """Looks at the processes for the length of a block."""
        meter = local_meter(self.house.profile, self.house.home)
        assert meter is not None, "the house is on this machine"
        watch = Watch(meter)
        await watch.look()
        looking = asyncio.create_task(watch.keep_looking())
        try:
            yield watch
        finally:
            looking.cancel()
            with suppress(asyncio.CancelledError):
                await looking
            await watch.look()

    @asynccontextmanager
    async def lines(self) -> AsyncIterator[Most]:
        """Keeps the longest line of the generator and of the gateway that is seen during a block."""
        most = Most()
        looking = asyncio.create_task(self._follow(most))
        try:
            yield most
        finally:
            looking.cancel()

    async def _follow(self, most: Most) -> None:
        while True:
            most.render_queue = max(most.render_queue, await self._gauge("generator", "portcullis_queue_depth"))
            in_flight = await self._gauge("gateway", "portcullis_calls_in_flight")
            most.gateway_in_flight = max(most.gateway_in_flight, in_flight)
            await asyncio.sleep(0.5)

    async def _gauge(self, room: str, name: str) -> float:
        async with httpx.AsyncClient() as client:
            page = await client.get(f"http://127.0.0.1:{self.settings.port(room) + METRICS_OFFSET}/metrics")
        families = text_string_to_metric_families(page.text)
        return sum(sample.value for family in families for sample in family.samples if sample.name == name)


async def checks(bench: Bench) -> dict[str, Any]:
    """Checks alone."""
    figures, _ = await bench.saturation(CHECKS, 2.0)
    return figures


async def creating(bench: Bench) -> dict[str, Any]:
    """The default mix up to the saturation point, and what each room takes of a creation."""
    figures, most = await bench.saturation(DEFAULT, 0.5)
    before = await load_path.step_seconds(bench.settings)
    began = time.monotonic()
    async with bench.watched() as watch:
        tally = await bench.send(CREATE, most * SOAKED, 60.0)
    after = await load_path.step_seconds(bench.settings)
    used = usage_figures(watch.used, time.monotonic() - began, tally.done)
    console.print(tally.show("create alone, at half the saturation point"), usage_table(used))
    steps = {name: 1000 * (after[name] - before.get(name, 0.0)) / max(1, tally.done) for name in after}
    shown = Table("step", "ms a creation", title="where the rooms' time goes")
    for name, milliseconds in sorted(steps.items(), key=lambda item: -item[1])[:12]:
        shown.add_row(name, f"{milliseconds:.1f}")
    console.print(shown)
    return {**figures, "create": tally.figures(), "services": used, "steps_ms": steps}


async def path(bench: Bench) -> dict[str, Any]:
    """What safety adds to four pictures of 512×512."""
    meter = local_meter(bench.house.profile, bench.house.home)
    assert meter is not None, "the house is on this machine"
    times = 20
    await load_path.measure(bench.settings, 1)
    before = await meter.read()
    paths = await load_path.measure(bench.settings, times)
    after = await meter.read()
    rooms = ("gateway", "prompt_filter", "image_filter", "provenance", "postgres")
    cpu = {room: 1000 * (after[room].cpu - before[room].cpu) / (times + 1) for room in rooms}
    added = median(one.added for one in paths)
    figures = [
        Figure("added latency, four pictures of 512 px", times, added, 300.0, at_most=True, form="{:.0f} ms"),
        Figure("of a 2-second generation on a GPU, as CPU time a core", times, sum(cpu.values()), form="{:.0f} ms"),
        *(
            Figure(f"  {step}", times, median(getattr(one, step) for one in paths), form="{:.0f} ms")
            for step in load_path.STEPS
        ),
        *(Figure(f"  CPU of {room}", times, value, form="{:.0f} ms") for room, value in cpu.items()),
    ]
    console.print(table("the safety path", figures, {}))
    return {"figures": record(figures), "paths_ms": [asdict(one) for one in paths]}


async def overload(bench: Bench, most: float, minutes: float) -> dict[str, Any]:
    """Twice what the house bears."""
    calm = await bench.send(DEFAULT, most * UNLOADED, 60.0)
    async with bench.lines() as lines, bench.watched() as watch:
        storm = await bench.send(DEFAULT, most * TWICE, minutes * 60, seed=2)
    recovery = await _recovery(bench, RECOVERED * calm.latency("p99"))
    limit = 16.0
    hints = sum(count for (code, reason), count in storm.errors.items() if code == "RESOURCE_EXHAUSTED" and reason)
    refused = sum(count for (code, _), count in storm.errors.items() if code == "RESOURCE_EXHAUSTED")
    figures = [
        Figure("longest line before the generator", 1, lines.render_queue, limit, at_most=True, form="{:.0f}"),
        Figure("most calls in the gateway at once", 1, lines.gateway_in_flight, 64.0, at_most=True, form="{:.0f}"),
        Figure("refused for want of room", storm.asked, storm.overloaded),
        Figure("of those, with a reason", refused, hints / max(1, refused), 1.0),
        Figure("failed otherwise", storm.asked, storm.failed, 0.001, at_most=True, form="{:.2%}"),
        Figure(
            "p99 of what was admitted, times the unloaded",
            storm.done,
            storm.latency("p99") / max(1.0, calm.latency("p99")),
            2.0,
            at_most=True,
            form="{:.2f}",
        ),
        Figure("recovery", 1, recovery, 10.0, at_most=True, form="{:.1f} s"),
    ]
    console.print(
        calm.show("without load"), storm.show("at twice the saturation point"), table("overload", figures, {})
    )
    return {
        "minutes": minutes,
        "unloaded": calm.figures(),
        "overloaded": storm.figures(),
        "services": usage_figures(watch.used, minutes * 60, storm.done),
        "figures": record(figures),
    }


async def _recovery(bench: Bench, within: float) -> float:
    """Seconds until a creation is answered within so many milliseconds, and the next two also."""
    began = time.monotonic()
    well = 0
    at = began
    while well < 3 and time.monotonic() - began < 120:
        sent = time.monotonic()
        try:
            async for _ in bench.client.create_images("a red circle", account="probe", count=1):
                pass
        except PortcullisError:
            well = 0
        else:
            quick = 1000 * (time.monotonic() - sent) <= within
            at = sent if quick and not well else at
            well = well + 1 if quick else 0
    return at - began


async def soak(bench: Bench, most: float, minutes: float) -> dict[str, Any]:
    """Half of what the house bears, for long."""
    async with bench.watched() as watch:
        tally = await bench.send(DEFAULT, most * SOAKED, minutes * 60, seed=3)
    used = usage_figures(watch.used, minutes * 60, tally.done)
    figures = [Figure("failed", tally.asked, tally.failed + tally.overloaded, 0.001, at_most=True, form="{:.2%}")]
    for name, one in sorted(watch.used.items()):
        third = max(1, len(one.memory) // 3)
        grown = median(one.memory[-third:]) / median(one.memory[third : 2 * third]) - 1
        figures.append(Figure(f"{name}: memory, last third against second", len(one.memory), grown, 0.05, at_most=True))
        if one.files:  # of another user's view they are not told
            more = median(one.files[-third:]) - median(one.files[third : 2 * third])
            figures.append(
                Figure(f"{name}: open files likewise", len(one.files), more, 2.0, at_most=True, form="{:+.0f}")
            )
    console.print(tally.show(f"{minutes:g} minutes at half the saturation point"), usage_table(used))
    console.print(table("soak", figures, {}))
    series = {name: [round(value / MIB, 1) for value in one.memory[::15]] for name, one in watch.used.items()}
    return {"minutes": minutes, **tally.figures(), "services": used, "memory_mib": series, "figures": record(figures)}


async def _measure(house: RunningHouse, parts: set[Part], minutes: float | None, most: float | None) -> dict[str, Any]:
    found: dict[str, Any] = {"cores": os.cpu_count(), "load_average_before": os.getloadavg()[0]}
    async with AsyncClient(house.profile, deadline=60.0) as client:
        bench = Bench(house, client)
        await bench.send(DEFAULT, 1.0, 15.0)  # what loads on its first use is loaded
        if Part.PATH in parts:
            found["path"] = await path(bench)
        if Part.CHECKS in parts:
            found["checks"] = await checks(bench)
        if Part.CREATING in parts:
            found["creating"] = await creating(bench)
            most = most or found["creating"]["saturation_per_second"]
        if parts & {Part.OVERLOAD, Part.SOAK} and most is None:
            _, most = await bench.saturation(DEFAULT, 0.5)
        if Part.OVERLOAD in parts:
            found["overload"] = await overload(bench, most or 1.0, minutes or 10.0)
        if Part.SOAK in parts:
            found["soak"] = await soak(bench, most or 1.0, minutes or 60.0)
    found["load_average_after"] = os.getloadavg()[0]
    return found


def main(
    only: Annotated[list[Part] | None, typer.Option(help="Measure this alone; may be given more than once.")] = None,
    minutes: Annotated[float | None, typer.Option(min=0.5, help="Of overload and soak; unset: 10 and 60.")] = None,
    most: Annotated[
        float | None, typer.Option(min=0.1, help="The saturation point in requests a second, where it is known.")
    ] = None,
) -> None:
    """Starts a house in a folder of its own, loads it, ends it."""
    with tempfile.TemporaryDirectory() as folder, running_house(Path(folder) / "home", console.print) as house:
        found = asyncio.run(_measure(house, set(only or Part), minutes, most))
    RESULTS.mkdir(exist_ok=True)
    written = RESULTS / "load.json"
    known = json.loads(written.read_text(encoding="utf-8")) if written.exists() else {}
    written.write_text(json.dumps({**known, **found}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    typer.run(main)
