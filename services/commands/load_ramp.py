"""Looks for the rate at which a house is full: grows until a step is too much, then closes in on it.

A step is borne where next to nobody is turned away for want of room and nobody waits much longer than without load.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from rich.table import Table

from services.commands.load_tally import Tally

GROWTH = 1.6
CLOSER = 3  # halvings between the last rate that was borne and the first that was not
MOST_TURNED_AWAY = 0.01
MOST_STEPS = 24
LEAST_MILLISECONDS = 100.0  # p95 without load counts as at least so much: below, chance makes multiples


@dataclass(frozen=True, slots=True)
class Step:
    """One rate, and what came of it."""

    rate: float
    tally: Tally
    borne: bool


async def climb(rate: float, slower: float, measure: Callable[[float], Awaitable[Tally]]) -> AsyncGenerator[Step, None]:
    """Measures at `rate` and above until the saturation point is enclosed; yields each step as it ends.

    A step is not borne where its p95 is more than `slower` times that of the first step.
    """
    base = 0.0
    low, high = 0.0, rate
    for _ in range(MOST_STEPS):
        step = _judged(high, await measure(high), base, slower)
        base = base or step.tally.latency("p95")
        yield step
        if not step.borne:
            break
        low, high = high, high * GROWTH
    for _ in range(CLOSER if low else 0):
        middle = (low + high) / 2
        step = _judged(middle, await measure(middle), base, slower)
        yield step
        low, high = (middle, high) if step.borne else (low, middle)


def _judged(rate: float, tally: Tally, base: float, slower: float) -> Step:
    return Step(rate, tally, borne(tally, base or tally.latency("p95"), slower))


def borne(tally: Tally, base: float, slower: float) -> bool:
    """Whether a step was borne, beside `base`, the p95 without load in milliseconds."""
    if tally.overloaded + tally.failed > MOST_TURNED_AWAY:
        return False
    return tally.latency("p95") <= slower * max(base, LEAST_MILLISECONDS)


def ramp_figures(steps: list[Step]) -> dict[str, Any]:
    """The steps and the saturation point (requests a second that were still borne), fit for JSON."""
    held = [step.rate for step in steps if step.borne]
    return {
        "saturation_per_second": round(max(held), 3) if held else None,
        "found": any(not step.borne for step in steps),
        "steps": [{"rate": round(s.rate, 3), "borne": s.borne, **s.tally.figures()} for s in steps],
    }


def ramp_table(steps: list[Step]) -> Table:
    """The steps, slowest first."""
    table = Table("arrivals/s", "answers/s", "p50 ms", "p95 ms", "p99 ms", "no room", "failed", "borne", title="ramp")
    for step in sorted(steps, key=lambda step: step.rate):
        tally = step.tally
        latencies = (f"{tally.latency(name):.0f}" for name in ("p50", "p95", "p99"))
        shares = f"{tally.overloaded:.1%}", f"{tally.failed:.1%}"
        mark = "[green]✓[/]" if step.borne else "[red]✗[/]"
        table.add_row(f"{step.rate:.2f}", f"{tally.throughput:.2f}", *latencies, *shares, mark)
    return table
