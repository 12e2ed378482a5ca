"""Requests are sent when they are due, and counted from then, whatever the house does."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE
from itertools import repeat

import grpc
import pytest

from portcullis.aio import AsyncClient
from portcullis.profile import Profile
from portcullis.v1 import gateway_pb2, gateway_pb2_grpc
from portcullis.v1.checks_pb2 import Check, Verdict
from services.commands.load import INTERRUPTED
from services.commands.load_mix import Ask
from services.commands.load_ramp import Step, borne, climb, ramp_figures
from services.commands.load_run import Outcome, Rendering, Run
from services.commands.load_tally import Tally
from services.commands.load_usage import LocalMeter, Reading, Watch, reading_of, service_of
from services.core.rpc import tls


class OneAtATime(gateway_pb2_grpc.GatewayServiceServicer):
    """A server that takes 200 ms for each call, and serves one after the other."""

    asked = asyncio.Event()

    def __init__(self) -> None:
        self._free = asyncio.Lock()
        OneAtATime.asked = asyncio.Event()

    async def CheckPrompt(self, request, context):
        self.asked.set()
        async with self._free:
            await asyncio.sleep(0.2)
        if request.prompt == "full":
            await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "full")
        return gateway_pb2.CheckPromptResponse(check=Check(verdict=Verdict.VERDICT_ALLOW))


@pytest.fixture
async def profile(tmp_path):
    tls.create_ca(tmp_path)
    tls.issue_certificate(tmp_path, "gateway")
    server = grpc.aio.server()
    gateway_pb2_grpc.add_GatewayServiceServicer_to_server(OneAtATime(), server)
    credentials = tls.server_credentials(tmp_path, "gateway", require_client=False)
    port = server.add_secure_port("127.0.0.1:0", credentials)
    await server.start()
    yield Profile(address=f"127.0.0.1:{port}", api_key="pk_test", ca=tmp_path / "ca.pem")
    await server.stop(None)


@pytest.fixture
async def client(profile):
    async with AsyncClient(profile, deadline=10) as connected:
        yield connected


async def test_a_slow_server_does_not_slow_the_arrivals_and_every_wait_counts(client):
    outcomes: list[Outcome] = []
    run = Run(client, Rendering(), outcomes.append)
    arrivals = [0.05 * n for n in range(6)]
    await run.go(arrivals, repeat(Ask("check_prompt", "a", prompt="a harbour")), asyncio.Event())
    assert run.most_in_flight >= 4  # a sender that waits for answers would have one
    waits = [outcome.seconds for outcome in sorted(outcomes, key=lambda outcome: outcome.at)]
    assert waits[-1] == pytest.approx(6 * 0.2 - arrivals[-1], abs=0.15)


async def test_what_the_server_refuses_is_counted_by_its_reason(client):
    tally = Tally(1.0)
    run = Run(client, Rendering(), tally.add)
    await run.go([0.0, 0.0], iter([Ask("check_prompt", "a", prompt=p) for p in ("full", "fine")]), asyncio.Event())
    assert tally.figures()["errors"] == {"RESOURCE_EXHAUSTED": {"": 1}}
    assert (tally.overloaded, tally.failed, tally.done) == (0.5, 0.0, 1)


async def test_a_run_that_is_stopped_ends_its_arrivals_and_keeps_its_answers(client):
    outcomes: list[Outcome] = []
    stopping = asyncio.Event()
    run = Run(client, Rendering(), outcomes.append)
    asyncio.get_running_loop().call_later(0.3, stopping.set)
    await run.go((float(n) for n in range(1_000)), repeat(Ask("check_prompt", "a", prompt="a")), stopping)
    assert len(outcomes) == run.sent == 1


async def test_ctrl_c_ends_the_arrivals_and_reports_what_there_is(profile, tmp_path):
    report = tmp_path / "load.json"
    command = "import typer; from services.commands.load import load; typer.run(load)"
    arguments = [
        "--mix",
        "check_prompt=1",
        "--rate",
        "3",
        "--seconds",
        "600",
        "--warm-up",
        "0",
        "--report",
        str(report),
    ]
    environment = os.environ | {
        "PORTCULLIS_HOME": str(tmp_path),
        "PORTCULLIS_ADDRESS": profile.address,
        "PORTCULLIS_API_KEY": profile.api_key,
        "PORTCULLIS_CA": str(profile.ca),
    }
    running = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", command, *arguments), env=environment, stdout=PIPE, stderr=PIPE
    )
    await asyncio.wait_for(OneAtATime.asked.wait(), 60)
    await asyncio.sleep(2)
    running.send_signal(signal.SIGINT)
    told, _ = await running.communicate()
    assert running.returncode == INTERRUPTED
    assert b"cut short" in told
    figures = json.loads(report.read_text())
    assert figures["stopped_early"]
    assert figures["answered"] > 0


def answered(seconds: float, at: float = 1.0) -> Outcome:
    return Outcome("create", "plain", at, 0.0, seconds, verdict="ALLOW", pictures=1, steps={"render": seconds / 2})


def test_percentiles_are_those_of_what_was_answered():
    tally = Tally(10.0)
    for n in range(1, 101):
        tally.add(answered(n / 100))
    tally.add(Outcome("create", "plain", 1.0, 0.0, 0.001, code="UNAVAILABLE", reason="X"))
    figures = tally.figures()
    assert figures["latency_ms"]["create"] == {"number": 100, "p50": 505.0, "p95": 950.5, "p99": 990.1, "max": 1000.0}
    assert figures["steps_ms"]["render"]["p50"] == 252.5
    assert figures["throughput_per_second"] == 10.0


def test_what_arrived_while_warming_up_is_not_counted():
    tally = Tally(10.0, begins=2.0)
    tally.add(answered(5.0, at=1.9))
    tally.add(answered(1.0, at=2.1))
    assert (tally.asked, tally.latency("max")) == (1, 1000.0)


def tally_of(milliseconds: float, refused: int = 0) -> Tally:
    tally = Tally(10.0)
    for _ in range(100 - refused):
        tally.add(answered(milliseconds / 1000))
    for _ in range(refused):
        tally.add(Outcome("create", "plain", 1.0, 0.0, 0.01, code="RESOURCE_EXHAUSTED", reason="QUEUE_FULL"))
    return tally


def test_a_step_is_borne_without_refusals_and_long_waits_only():
    assert borne(tally_of(500), 200, slower=3)
    assert not borne(tally_of(700), 200, slower=3)
    assert not borne(tally_of(200, refused=2), 200, slower=3)


async def test_a_ramp_encloses_the_rate_that_is_too_much():
    async def house(rate: float) -> Tally:
        return tally_of(200 if rate <= 5.0 else 2_000)

    steps: list[Step] = [step async for step in climb(1.0, 3.0, house)]
    figures = ramp_figures(steps)
    assert figures["found"]
    assert figures["saturation_per_second"] == pytest.approx(5.0, rel=0.1)


def test_a_metrics_page_tells_of_its_process():
    page = "process_cpu_seconds_total 4.5\nprocess_resident_memory_bytes 1024\nprocess_open_fds 7\n"
    assert reading_of(page) == Reading(4.5, 1024, 7)
    assert reading_of("portcullis_calls_total 1\n") is None


@pytest.mark.parametrize(
    ("command", "name"),
    [
        (["python", "-m", "services.commands.child", "services.gateway", "7"], "gateway"),
        (["python", "-m", "services.commands.child", "services.review.worker", "7"], "review_worker"),
        (["python", "-m", "services.commands.child", "services.core.store.embedded", "7"], "postgres"),
        (["bash"], ""),
    ],
)
def test_a_service_is_known_by_its_command_line(command, name):
    assert service_of(command) == name


async def test_cpu_counts_from_the_first_look_also_where_a_service_began_anew():
    looks = iter([Reading(10.0, 5, 1), Reading(12.5, 9, 2), Reading(1.0, 7, 1)])

    class Meter(LocalMeter):
        async def read(self):
            return {"gateway": next(looks)}

    watch = Watch(Meter(None))
    await watch.look()
    await watch.look()
    assert watch.used["gateway"].cpu == 2.5
    await watch.look()
    assert watch.used["gateway"].cpu == 1.0
    assert max(watch.used["gateway"].memory) == 9
