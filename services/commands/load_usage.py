"""What each service of a house uses while it is under load: CPU seconds, memory, open files.

On this machine the processes are read themselves, with their helpers and Postgres' backends; elsewhere the services'
/metrics tell it, of the service's own process alone.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import httpx
import psutil
from prometheus_client.parser import text_string_to_metric_families

from portcullis.profile import Profile

EVERY_SECONDS = 2.0
OWN = "portcullis load"
FETCH_SECONDS = 5.0
_CHILD = "services.commands.child"
_METRICS = {
    "process_cpu_seconds_total": "cpu",
    "process_resident_memory_bytes": "memory",
    "process_open_fds": "files",
}


@dataclass(frozen=True, slots=True)
class Reading:
    """One look at a service: CPU seconds since its start, memory in bytes, open files (None where that is not told)."""

    cpu: float
    memory: float
    files: float | None


@dataclass(slots=True)
class Used:
    """What a service used from the first look to the last; `memory` in bytes and `files` by look."""

    first: Reading
    last: Reading
    memory: list[float] = field(default_factory=list[float])
    files: list[float] = field(default_factory=list[float])

    @property
    def cpu(self) -> float:
        """CPU seconds; a service that began anew meanwhile counts from its new start."""
        spent = self.last.cpu - self.first.cpu
        return spent if spent >= 0 else self.last.cpu


class Meter(Protocol):
    """Where readings come from."""

    async def read(self) -> dict[str, Reading]:
        """The services that can be seen now, by name."""
        ...


class LocalMeter:
    """Reads the processes of the house that `portcullis up` runs on this machine."""

    def __init__(self, supervisor: psutil.Process) -> None:
        self._supervisor = supervisor

    async def read(self) -> dict[str, Reading]:
        """A process that ends while it is looked at is left out."""
        return await asyncio.to_thread(self._read)

    def _read(self) -> dict[str, Reading]:
        found = {OWN: _whole(psutil.Process(), with_children=False)}
        for child in self._supervisor.children():
            try:
                if name := service_of(child.cmdline()):
                    found[name] = _whole(child)
            except psutil.Error:
                continue
        return found


class RemoteMeter:
    """Reads the /metrics of services, by their names."""

    def __init__(self, urls: Mapping[str, str]) -> None:
        self._urls = urls

    async def read(self) -> dict[str, Reading]:
        """A service that does not answer is left out."""
        found = {OWN: _whole(psutil.Process(), with_children=False)}
        async with httpx.AsyncClient(timeout=FETCH_SECONDS) as client:
            for name, url in self._urls.items():
                try:
                    text = (await client.get(url)).raise_for_status().text
                except httpx.HTTPError:
                    continue
                if reading := reading_of(text):
                    found[name] = reading
        return found


def local_meter(profile: Profile, home: Path) -> LocalMeter | None:
    """A meter of the house that is up on `home`, where it is the one that `profile` reaches; None elsewhere."""
    try:
        here = json.loads((home / "client.json").read_text(encoding="utf-8"))
        supervisor = psutil.Process(int((home / "up.lock").read_text(encoding="utf-8")))
    except (OSError, ValueError, psutil.Error):
        return None
    return LocalMeter(supervisor) if here.get("address") == profile.address else None


def service_of(command: list[str]) -> str:
    """The name of the service that a command line of the supervisor's runs; empty for any other."""
    if _CHILD not in command:
        return ""
    module = command[command.index(_CHILD) + 1].removeprefix("services.")
    return "postgres" if module == "core.store.embedded" else module.replace(".", "_")


def reading_of(metrics: str) -> Reading | None:
    """What a /metrics page says of its process; None where it does not say it, as on another system than Linux."""
    found: dict[str, float] = {}
    for family in text_string_to_metric_families(metrics):
        for sample in family.samples:
            if key := _METRICS.get(sample.name):
                found[key] = sample.value
    return Reading(**found) if len(found) == len(_METRICS) else None


class Watch:
    """Looks at a house again and again until it is told to stop."""

    def __init__(self, meter: Meter) -> None:
        self._meter = meter
        self.used: dict[str, Used] = {}

    async def look(self) -> None:
        """One look."""
        for name, reading in (await self._meter.read()).items():
            used = self.used.setdefault(name, Used(reading, reading))
            used.last = reading
            used.memory.append(reading.memory)
            if reading.files is not None:
                used.files.append(reading.files)

    async def keep_looking(self) -> None:
        """Until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(EVERY_SECONDS)


def _whole(process: psutil.Process, *, with_children: bool = True) -> Reading:
    """A process with all that it started, also what has ended since; shared memory counts where it is shared, once.

    The house's processes let only root look into them: for others shared memory counts in each, and files are not told.
    """
    cpu, memory, files = 0.0, 0, 0
    open_book = True
    for one in [process, *(process.children(recursive=True) if with_children else [])]:
        try:
            with one.oneshot():
                times, held = one.cpu_times(), one.memory_info().rss
                try:
                    held, opened = getattr(one.memory_full_info(), "pss", 0) or held, one.num_fds()
                except psutil.AccessDenied:
                    open_book, opened = False, 0
        except psutil.Error:
            continue
        cpu += times.user + times.system + getattr(times, "children_user", 0) + getattr(times, "children_system", 0)
        memory += held
        files += opened
    return Reading(cpu, memory, files if open_book else None)
