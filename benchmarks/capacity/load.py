"""A load that nothing was calibrated on: four callers at once, calls mixed, pictures of another size."""

from __future__ import annotations

import random
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from statistics import quantiles

import psutil

from benchmarks.capacity import calls
from benchmarks.capacity.meter import Meter
from demo import inputs
from portcullis import Client

CALLERS = 4
SIZE = 512
# Of a hundred calls; what is drawn from nothing has `SIZE` pixels a side and comes in twos.
MIX = {"create": 70, "variation": 10, "edit": 10, "check_prompt": 10}


@dataclass(frozen=True, slots=True)
class Load:
    """What callers met. `cores` is what of the machine the house could have: what it used, and what nobody did."""

    callers: int
    seconds: float
    cores: float
    made: dict[str, int]
    calls_a_second: float
    cpu_a_call: float
    median_seconds: float
    p95_seconds: float


def run(client: Client, meter: Meter, seconds: float) -> Load:
    """Each caller asks again as soon as it was answered; what had not ended in time is waited for, and counts."""
    photo = calls.photograph(1024)
    mask = inputs.mask_of(photo)
    kinds = {
        "create": lambda number: calls.create(client, number, 2, SIZE),
        "variation": lambda number: calls.vary(client, photo, number, 1),
        "edit": lambda number: calls.edit(client, photo, mask, number, 1),
        "check_prompt": lambda number: client.check_prompt(calls.PROMPTS[number % 4], account=calls.account()),
    }
    waited: list[tuple[str, float]] = []

    def caller(name: int) -> None:
        draw = random.Random(name)
        while time.perf_counter() < end:
            (kind,) = draw.choices(list(MIX), list(MIX.values()))
            asked = time.perf_counter()
            kinds[kind](draw.randrange(1000))
            waited.append((kind, time.perf_counter() - asked))

    machine, cpu, begun = psutil.cpu_times(), meter.cpu(), time.perf_counter()
    end = begun + seconds
    with ThreadPoolExecutor(CALLERS) as callers:
        list(callers.map(caller, range(CALLERS)))
    took, used, now = time.perf_counter() - begun, (meter.cpu() - cpu).total(), psutil.cpu_times()
    times = [taken for _, taken in waited]
    return Load(
        callers=CALLERS,
        seconds=took,
        cores=(used + now.idle - machine.idle + now.iowait - machine.iowait) / took,
        made={kind: sum(done == kind for done, _ in waited) for kind in MIX},
        calls_a_second=len(times) / took,
        cpu_a_call=used / len(times),
        median_seconds=quantiles(times, n=2)[0],
        p95_seconds=quantiles(times, n=20)[-1],
    )
