"""Processes as their pods start them: with the files that the manifests mount and no others, and a database.

Those that load models are left out but for provenance, whose keys are many; `PORTCULLIS_TEST_PODS=all` takes them in.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from services.commands.default_policy import DEFAULT_POLICY
from services.commands.provision import make_keys
from services.core.rpc import tls
from services.core.rpc.health import ALIVE
from services.core.store import policies
from services.core.store.database import Database
from tests.unit.deploy.rendering import (
    K8S,
    REPOSITORY,
    WHOLE,
    Thing,
    environment,
    kubectl,
    of_kind,
    pod,
    process,
    render,
)

LIGHT = ("gateway", "provenance", "review", "review-console", "review-notifier", "review-relay", "review-worker")
HEAVY = ("prompt-filter", "combo-filter", "generator", "image-filter")
PROCESSES = (*LIGHT, *(HEAVY if os.environ.get("PORTCULLIS_TEST_PODS") == "all" else ()))
HOME = "/var/lib/portcullis/"
SECONDS = 150  # of a busy machine, with a model to load


@pytest.fixture(scope="session")
def small() -> list[Thing]:
    if not (program := kubectl()):
        pytest.skip("no kubectl")
    return render(program, K8S / "overlays" / "small")


@pytest.fixture(scope="session")
def house(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data home with everything that there is."""
    home = tmp_path_factory.mktemp("house")
    make_keys(home)
    tls.issue_certificate(home / "tls", "console")
    return home


def furnish(home: Path, house: Path, workload: Thing) -> None:
    """Lays what the pod mounts into `home`, as a pod has it: readable, and not to be changed."""
    mounts = {each["name"]: each["mountPath"] for each in process(workload)["volumeMounts"]}
    for volume in pod(workload)["volumes"]:
        place = mounts[volume["name"]]
        if not place.startswith(HOME):
            continue
        inside = place.removeprefix(HOME)
        sources = (
            [volume["secret"]]
            if "secret" in volume
            else [s["secret"] for s in volume.get("projected", {}).get("sources", ())]
        )
        (home / inside).mkdir(parents=True)
        for source in sources:
            paths = [item["path"] for item in source.get("items", ())]
            for path in paths or WHOLE[source.get("name") or source["secretName"]]:
                (home / inside / path).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(house / inside / path, home / inside / path)
                (home / inside / path).chmod(0o440)


async def asked(port: int, service: str) -> bool:
    """Whether the probe is answered with SERVING in time."""
    async with asyncio.timeout(SECONDS), grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        request = health_pb2.HealthCheckRequest(service=service)
        async for answer in health_pb2_grpc.HealthStub(channel).Watch(request, wait_for_ready=True):
            if answer.status == health_pb2.HealthCheckResponse.SERVING:
                return True
    return False


class Log:
    """What a process says on its standard error, read all the time so that it never waits for us."""

    def __init__(self, running: asyncio.subprocess.Process) -> None:
        self._lines: list[str] = []
        self._news = asyncio.Event()
        self._reading = asyncio.create_task(self._read(running.stderr))

    async def _read(self, stream: asyncio.StreamReader | None) -> None:
        assert stream is not None
        async for line in stream:
            self._lines.append(line.decode())
            self._news.set()

    async def says(self, words: str) -> bool:
        """Whether it says so in time."""
        async with asyncio.timeout(SECONDS):
            while not any(words in line for line in self._lines):
                self._news.clear()
                await self._news.wait()
        return True

    async def end(self) -> str:
        """What it said last, once it has ended."""
        await self._reading
        return "".join(self._lines[-5:])


@pytest.fixture
async def dsn(database: str) -> str:
    db = await Database.open(database)
    async with db.transaction() as connection:
        await policies.ensure_default(connection, DEFAULT_POLICY.read_text(encoding="utf-8"), "test")
    await db.close()
    return database


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", PROCESSES)
async def test_a_pod_has_all_that_its_process_needs_and_leaves_when_told(
    name: str, small: list[Thing], house: Path, dsn: str, tmp_path: Path, new_port_base: Callable[[], int]
) -> None:
    workload = of_kind(small, "Deployment")[name]
    furnish(tmp_path, house, workload)
    base = new_port_base()
    told = environment(small, workload)
    given = {key: value.replace(HOME, f"{tmp_path}/") for key, value in told.items()}
    # The machine's own in the place of the cluster's: addresses, ports, and room for what else runs here.
    given |= {
        "PORTCULLIS_HOME": str(tmp_path),
        "PORTCULLIS_PORT_BASE": str(base),
        "PORTCULLIS_PROBE_PORT": str(base + 9),
        "PORTCULLIS_BIND": "127.0.0.1",
        "PORTCULLIS_HOSTS": "{}",
        **({"PORTCULLIS_DSN": dsn} if "PORTCULLIS_DSN" in told else {}),
    }
    running = await asyncio.create_subprocess_exec(
        sys.executable,
        *process(workload)["args"],
        cwd=REPOSITORY,
        env={**given, "PATH": os.environ["PATH"], "PYTHONPATH": str(REPOSITORY), "HOME": str(tmp_path)},
        stderr=asyncio.subprocess.PIPE,
    )
    log = Log(running)
    try:
        # Celery's worker takes signals as wishes only once it is ready.
        started = log.says(" ready.") if name == "review-worker" else asked(base + 9, ALIVE)
        done, _ = await asyncio.wait(
            [asyncio.ensure_future(started), asyncio.ensure_future(running.wait())], return_when=asyncio.FIRST_COMPLETED
        )
        assert running.returncode is None, await log.end()
        assert all(each.result() for each in done)
        if name not in ("review-worker", "image-filter"):  # the latter waits for the prompt filter, which is not here
            assert await asked(base + 9, "")
    finally:
        if running.returncode is None:
            running.send_signal(signal.SIGTERM)
    assert await asyncio.wait_for(running.wait(), 60) == 0, await log.end()
