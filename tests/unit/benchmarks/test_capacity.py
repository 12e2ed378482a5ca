"""The plan of a house: its formulas against known values, its sums against what they were made of."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.capacity import calibrate
from benchmarks.capacity.__main__ import STEPS, assumptions, check, read
from benchmarks.capacity.assumptions import Assumptions
from benchmarks.capacity.plan import Measured, Step, erlang_c, plan, pods_for, wait_p95
from benchmarks.capacity.predict import loaded_machine
from benchmarks.capacity.work import MEASURED_SIDE, PLAIN, SMALL_SIDE, Work, learn


@pytest.fixture(scope="module")
def found() -> dict:
    return json.loads(calibrate.MEASURED.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def measured(found: dict) -> Measured:
    return read(found)


@given(servers=st.integers(1, 60), use=st.floats(0.05, 0.99))
def test_the_probability_to_wait_is_that_of_erlangs_formula(servers: int, use: float) -> None:
    """Written out with its sums and factorials, where the plan goes from server to server."""
    load = servers * use
    last = load**servers / math.factorial(servers) / (1 - use)
    others = sum(load**busy / math.factorial(busy) for busy in range(servers))

    assert erlang_c(servers, load) == pytest.approx(last / (others + last))


def test_servers_that_cannot_keep_up_let_wait_for_ever() -> None:
    assert wait_p95(4, 5.0, 1.0) == math.inf


@given(rate=st.floats(0.01, 5_000), seconds=st.floats(0.001, 1), cores=st.integers(1, 4))
def test_pods_are_enough_and_no_more_than_a_fiftieth_too_many(rate: float, seconds: float, cores: int) -> None:
    assume = Assumptions()

    pods = pods_for(rate, seconds, cores, assume)

    def enough(number: int) -> bool:
        return rate * seconds <= number * cores * assume.busy and wait_p95(number * cores, rate, seconds) <= seconds

    assert enough(pods)
    assert pods == assume.least_pods or not enough(pods - max(pods // 50, 1))


def test_costs_are_taken_apart_into_what_they_were_made_of() -> None:
    base, picture, pixel = 0.01, 0.02, 3e-8

    def cost(pictures: int, side: int) -> Mapping[str, float]:
        return {"image_filter": base + pictures * (picture + pixel * side**2)}

    cpu = {
        "create 1": cost(1, MEASURED_SIDE),
        "create 4": cost(4, MEASURED_SIDE),
        "create 4 of 256": cost(4, SMALL_SIDE),
    }
    cpu |= {name: cost(3, MEASURED_SIDE) for name in ("variation 3", "edit 3")} | {kind: cost(0, 0) for kind in PLAIN}

    work = learn(cpu)

    assert work.of_call("create", 2, 512)["image_filter"] == pytest.approx(cost(2, 512)["image_filter"])
    assert work.of_call("edit", 1, 1024)["image_filter"] == pytest.approx(cost(1, 1024)["image_filter"])


def test_a_shared_machine_makes_as_many_calls_as_its_processors_allow() -> None:
    base = {kind: {"gateway": 0.2, "postgres": 0.0} for kind in ("create", "variation", "edit", "check_prompt")}

    met = loaded_machine(Work(base, {}, {}), callers=4, cores=1.5, seconds=300, idle_cores=0.0, slots=2)

    assert met.calls_a_second == pytest.approx(1.5 / 0.2, rel=0.05)
    assert met.median_seconds == pytest.approx(4 * 0.2 / 1.5, rel=0.25)  # Little's law


def test_fifty_times_the_pictures_need_about_fifty_times_the_machines(measured: Measured) -> None:
    assume = Assumptions()

    small, large = (plan(measured, assume, Step("", pictures, 1e6)) for pictures in (10e6, 500e6))

    assert large.gpus == pytest.approx(50 * small.gpus, rel=0.01)
    assert large.pods["image_filter"] == pytest.approx(50 * small.pods["image_filter"], rel=0.15)
    assert large.demand.stored["decisions"] == pytest.approx(50 * small.demand.stored["decisions"])


def test_what_is_full_first_comes_first(measured: Measured) -> None:
    for step in STEPS:
        loads = [limit.load for limit in plan(measured, Assumptions(), step).limits]
        assert loads == sorted(loads, reverse=True)


def test_a_thousand_pictures_cost_less_people_where_less_is_held(measured: Measured) -> None:
    assume = Assumptions()
    costs = [plan(measured, one, STEPS[0]).cost for one in (assume, replace(assume, held=assume.held / 2))]

    assert costs[1]["desk (people)"] == pytest.approx(costs[0]["desk (people)"] / 2, rel=0.02)


def test_what_is_assumed_can_be_set() -> None:
    assert assumptions("peak=3 pictures_created=1") == replace(Assumptions(), peak=3.0, pictures_created=1)


def test_a_word_that_is_no_assumption_is_told() -> None:
    with pytest.raises(SystemExit, match="no number called peek"):
        assumptions("peek=3")


def test_a_load_that_nothing_was_calibrated_on_is_predicted_within_what_the_page_says(
    found: dict, measured: Measured
) -> None:
    errors = {name: abs(row["error"]) for name, row in check(found, measured).items()}

    assert errors["cpu_a_call"] < 0.10
    assert errors["calls_a_second"] < 0.10
    assert errors["p95_seconds"] < 0.30
    assert all(error < 0.10 for name, error in errors.items() if "search" in name)
