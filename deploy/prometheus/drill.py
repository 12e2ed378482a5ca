"""Walks through runbooks: `python -m deploy.prometheus.drill`, a quarter of an hour; `… drill ProcessDown` one alone.

Starts a house of its own with Prometheus beside it, does to it what an alert is about, and waits until the alert fires.
Alerts fire at once here, not after the time that they say in `for`. Prints a table for docs/runbooks/README.md.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path

import psycopg

from demo import inputs
from demo.running import RunningHouse, running_house
from demo.watching import Prometheus, missing, watched
from portcullis import Client, PortcullisError
from portcullis.v1 import checks_pb2, generator_pb2
from portcullis.v1.generator_pb2_grpc import GeneratorServiceStub
from services.core.config import HouseSettings
from services.core.rpc.channel import connect

SETTINGS = {
    "PORTCULLIS_GATEWAY_MAX_CONCURRENT": "4",
    "PORTCULLIS_GATEWAY_CHECK_SECONDS": "8",
    "PORTCULLIS_REVIEW_WEBHOOK_INSECURE": "true",
    "PORTCULLIS_REVIEW_WEBHOOK_INSIDE": '["127.0.0.0/8"]',
    "PORTCULLIS_REVIEW_WEBHOOK_PORTS": "[9]",
}
FIRES_SECONDS = 420.0
CROWD = 12  # calls at once, three times as many as the gateway serves here


@dataclass(frozen=True, slots=True)
class Drill:
    """What is done to the house, and the alert that must follow; what was done is undone at the block's end."""

    alert: str
    told: str
    provoke: Callable[[RunningHouse, Client], AbstractContextManager[None]]
    slo: str = ""


def main() -> None:
    """Prints a row for each drill; ends with 1 where an alert did not fire."""
    if lacking := missing():
        sys.exit(f"install first: {' '.join(lacking)}")
    failed = 0
    print("| alert | what was done | fired after |\n|---|---|---|")
    with tempfile.TemporaryDirectory() as scratch:
        home, beside = Path(scratch) / "home", Path(scratch) / "watched"
        with (
            running_house(home, lambda _line: None, SETTINGS) as house,
            watched(house, beside, patient=False) as prometheus,
            Client(house.profile) as client,
        ):
            for drill in (drill for drill in DRILLS if drill.alert in (sys.argv[1:] or drill.alert)):
                began = time.monotonic()
                with drill.provoke(house, client):
                    seconds = _await_alert(prometheus, drill, began)
                failed += seconds is None
                after = "never" if seconds is None else f"{seconds:.0f} s"
                print(
                    f"| {' '.join(filter(None, [f'`{drill.alert}`', drill.slo]))} | {drill.told} | {after} |",
                    flush=True,
                )
    sys.exit(failed > 0)


def _await_alert(prometheus: Prometheus, drill: Drill, began: float) -> float | None:
    while (passed := time.monotonic() - began) < FIRES_SECONDS:
        for alert in prometheus.alerts_received():
            if alert["alertname"] == drill.alert and alert.get("slo", "") == drill.slo:
                return passed
        time.sleep(0.5)
    return None


@contextmanager
def one_account_asks(_house: RunningHouse, client: Client) -> Iterator[None]:
    """Everything that is asked comes from one account."""
    for _ in range(60):
        client.check_prompt(inputs.ALLOWED, account="busy")
    yield


@contextmanager
def bad_clearance(house: RunningHouse, _client: Client) -> Iterator[None]:
    """Somebody with the gateway's certificate asks the generator to draw what no filter cleared."""

    async def ask() -> None:
        settings = HouseSettings(home=house.home, port_base=house.port_base)
        request = generator_pb2.GenerateRequest(
            subject=checks_pb2.Subject(tenant="demo", account="someone"),
            operation=checks_pb2.OPERATION_CREATE,
            prompt=inputs.ALLOWED,
            count=1,
            clearances=["made.up.token"],
        )
        async with connect(settings, "gateway", "generator") as channel:
            async for _ in GeneratorServiceStub(channel).Generate(request, timeout=20):
                pass

    with suppress(Exception):  # it is refused: that is what the alert is about
        asyncio.run(ask())
    yield


@contextmanager
def too_many_at_once(_house: RunningHouse, client: Client) -> Iterator[None]:
    """Three times as many calls at once as the gateway takes, again and again until the alert has fired."""
    over = threading.Event()

    def insist(number: int) -> None:
        while not over.is_set():
            _ask(client, f"crowd-{number}")

    with ThreadPoolExecutor(CROWD) as threads:
        for number in range(CROWD):
            threads.submit(insist, number)
        try:
            yield
        finally:
            over.set()


@contextmanager
def a_room_stands_still(house: RunningHouse, client: Client) -> Iterator[None]:
    """The prompt filter is stopped (SIGSTOP): it neither answers nor ends."""
    with _stopped(house, "prompt_filter"), ThreadPoolExecutor(CROWD) as threads:
        list(threads.map(lambda number: _ask(client, f"crowd-{number}"), range(CROWD)))
        yield


@contextmanager
def no_worker(house: RunningHouse, client: Client) -> Iterator[None]:
    """The worker is stopped, and a case is opened."""
    with _stopped(house, "review.worker"):
        _open_case(client)
        yield


@contextmanager
def nobody_decides(house: RunningHouse, client: Client) -> Iterator[None]:
    """A case is opened that was due a minute ago."""
    _open_case(client)
    late = "UPDATE review_items SET due_at = now() - interval '1 minute' WHERE state = 'queued'"
    with psycopg.connect(house.dsn, autocommit=True) as connection:
        while not connection.execute(late).rowcount:
            time.sleep(0.5)
    yield


@contextmanager
def banks_are_locked(house: RunningHouse, _client: Client) -> Iterator[None]:
    """A transaction that does not end holds the row that says what the banks are."""
    with psycopg.connect(house.dsn) as connection:
        connection.execute("LOCK TABLE bank_state IN ACCESS EXCLUSIVE MODE")
        yield
        connection.rollback()


@contextmanager
def an_endpoint_refuses(house: RunningHouse, client: Client) -> Iterator[None]:
    """A platform's endpoint is an address where nobody listens, and an account is warned, of which it should hear."""
    client.check_prompt(inputs.ALLOWED, account="warned")
    _run(house, "webhooks", "add", "demo", "http://127.0.0.1:9/")
    _run(house, "accounts", "warn", "demo", "warned", "--why", "a drill")
    yield


def _run(house: RunningHouse, *command: str) -> None:
    program = str(Path(sys.executable).with_name("portcullis"))
    subprocess.run([program, *command], env={**house.environment, **SETTINGS}, check=True, capture_output=True)


def _open_case(client: Client) -> None:
    photo = inputs.doubtful_photo()
    list(client.edit_images(inputs.DOUBTFUL, photo, inputs.mask_of(photo), account="doubtful", count=1))


def _ask(client: Client, account: str) -> None:
    with suppress(PortcullisError):
        client.check_prompt(inputs.ALLOWED, account=account)


@contextmanager
def _stopped(house: RunningHouse, module: str) -> Iterator[None]:
    pid = house.pid(module)
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


DRILLS = (
    Drill("Watchdog", "nothing", lambda _house, _client: nullcontext()),
    Drill("OneAccountDominates", "one account alone asks, 60 times", one_account_asks),
    Drill("ClearancesRefused", "the generator is shown a clearance that was made up", bad_clearance),
    Drill("Overloaded", "12 callers who never stop, for a gateway that takes 4", too_many_at_once),
    Drill(
        "BudgetBurnsFast",
        "the same: what a full house turns away is unavailable",
        too_many_at_once,
        "decision-availability",
    ),
    Drill("ProcessDown", "the prompt filter is stopped (SIGSTOP)", a_room_stands_still),
    Drill("WebhooksFail", "an endpoint at which nobody listens", an_endpoint_refuses),
    Drill("CasesOverdue", "a case that waits was due a minute ago", nobody_decides),
    Drill("ImageBanksStale", "a transaction holds what says that banks are as they were", banks_are_locked),
    Drill("CasesStuck", "the review worker is stopped (SIGSTOP), a case is opened", no_worker),
)

if __name__ == "__main__":
    main()
