"""How many calls the gateway lets run at once: simulated houses, on a clock of the test's own."""

from __future__ import annotations

import heapq
from contextlib import ExitStack
from random import Random

import pytest

from services.core.errors import Exhausted
from services.gateway.pressure import FIRST, LEAST, Pressure

KIND = ("create", 1, 256)
SLOWDOWN = 2.0


class House:
    """Serves `workers` calls side by side, a second each; more wait in line."""

    def __init__(self, workers: int, most: int = 64) -> None:
        self.now = 0.0
        self.pressure = Pressure(most, SLOWDOWN, lambda: self.now)
        self._free = [0.0] * workers
        self._ends: list[tuple[float, int, ExitStack]] = []
        self._number = 0
        self.waits: list[float] = []
        self.refused = 0

    def arrive(self, at: float) -> None:
        """One call: refused, or let in and served when a worker is free."""
        self.pass_until(at)
        place = ExitStack()
        try:
            passage = place.enter_context(self.pressure.running(KIND))
        except Exhausted:
            self.refused += 1
            return
        passage.whole = True
        end = max(at, heapq.heappop(self._free)) + 1.0
        heapq.heappush(self._free, end)
        self.waits.append(end - at)
        self._number += 1
        heapq.heappush(self._ends, (end, self._number, place))

    def pass_until(self, at: float) -> None:
        """Lets every call end that ends until then."""
        while self._ends and self._ends[0][0] <= at:
            self.now, _, place = heapq.heappop(self._ends)
            place.close()
        self.now = at

    def storm(self, rate: float, seconds: float) -> None:
        """Arrivals at random."""
        random, at = Random(5), self.now
        until = at + seconds
        while (at := at + random.expovariate(rate)) < until:
            self.arrive(at)


@pytest.mark.parametrize("workers", [4, 16, 40])
def test_at_twice_what_a_house_bears_those_who_are_let_in_wait_little_and_no_worker_rests(workers):
    house = House(workers)
    house.storm(workers * 2.0, 300.0)
    late = sorted(house.waits[len(house.waits) // 10 :])
    assert late[int(0.99 * len(late))] <= 2 * SLOWDOWN  # seconds; alone a call takes one
    assert len(house.waits) >= 0.85 * workers * 300
    assert house.refused > 0


def test_at_half_of_what_a_house_bears_nobody_is_refused():
    house = House(4)
    house.storm(2.0, 300.0)
    assert house.refused == 0


def test_a_house_of_many_workers_is_found_out():
    house = House(60)
    house.storm(50.0, 120.0)
    assert house.pressure.limit > 50
    assert house.refused < 0.1 * len(house.waits)


def test_the_bound_is_not_passed_and_the_least_is_kept():
    house = House(200, most=20)
    house.storm(100.0, 60.0)
    assert house.pressure.limit == 20
    narrow = House(1)
    narrow.storm(20.0, 300.0)
    assert narrow.pressure.limit >= LEAST


def test_who_finds_no_place_is_told_when_to_come_again():
    pressure = Pressure(1, SLOWDOWN)
    with pressure.running(KIND), pytest.raises(Exhausted) as caught, pressure.running(KIND):
        pass
    assert (caught.value.reason, caught.value.retry_after) == ("BUSY", 1.0)


def test_slow_uploads_do_not_make_the_house_smaller():
    now = [0.0]
    pressure = Pressure(64, SLOWDOWN, lambda: now[0])
    for _ in range(50):
        with pressure.running(None) as passage:
            now[0] += 30.0
            passage.whole = True
    assert pressure.limit == FIRST


def test_a_house_that_is_slow_without_a_crowd_is_not_made_smaller():
    now = [0.0]
    pressure = Pressure(64, SLOWDOWN, lambda: now[0])
    for taken in [1.0, *[5.0] * 20]:
        with pressure.running(KIND) as passage:
            now[0] += taken
            passage.whole = True
    assert pressure.limit == FIRST


def test_a_refusal_that_comes_early_does_not_count_as_a_quick_creation():
    now = [0.0]
    pressure = Pressure(64, SLOWDOWN, lambda: now[0])
    for taken, whole in [(1.0, True), (0.01, False), *[(1.5, True)] * 20]:
        with pressure.running(KIND) as passage:
            now[0] += taken
            passage.whole = whole
    assert pressure.limit == FIRST
