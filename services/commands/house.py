"""One house on one machine, from its first process to its last: Postgres, migrations, provisioning, then the rooms."""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from services.commands.log_view import LogView
from services.commands.parts import POSTGRES, Layer, Part
from services.commands.provision import provision
from services.commands.readiness import database_answers, errand_works, is_serving
from services.commands.supervisor import IsReady, Keeper, stop_in_order
from services.core.config import HouseSettings
from services.core.errors import ConfigurationError
from services.core.store.database import migrate
from services.core.store.roles import dsn_as
from services.review.console.settings import ConsoleSettings


class House:
    """The processes of one data home under one supervisor."""

    def __init__(self, house: HouseSettings, parts: list[Part], view: LogView) -> None:
        self._house = house
        self._parts = parts
        self._view = view
        self._keepers: list[Keeper] = []
        self._keeping: set[asyncio.Task[None]] = set()
        self._stop = asyncio.Event()

    async def run(self) -> None:
        """Starts everything and runs until SIGTERM or Ctrl-C; raises ConfigurationError where it cannot start."""
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, self._on_signal)
        living = asyncio.create_task(self._live())
        stopping = asyncio.create_task(self._stop.wait())
        try:
            await asyncio.wait({living, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if living.done():
                living.result()
        finally:
            living.cancel()
            stopping.cancel()
            self._view.say("stopping: the door first, the database last (once more Ctrl-C to kill)")
            await stop_in_order(self._keepers, self._house.drain_seconds)
            if self._keeping:
                await asyncio.wait(self._keeping)
            self._view.say("stopped")

    async def _live(self) -> None:
        if not self._house.dsn:
            await self._start(POSTGRES)
        applied = await asyncio.to_thread(migrate, self._house.database())
        if applied:
            self._view.say(f"migrated the database: {', '.join(applied)}")
        if not self._house.broker_url and any(part.role == "review" for part in self._parts):
            from services.review.broker import install_pgmq  # only where that room is installed

            await asyncio.to_thread(install_pgmq, self._house.database())
        for line in await provision(self._house):
            self._view.say(line)
        # Loading models is work for the CPU: more at once than there are cores would only make all of them late.
        gate = asyncio.Semaphore(max(2, os.cpu_count() or 1))
        try:
            async with asyncio.TaskGroup() as starting:
                for part in self._parts:
                    starting.create_task(self._start_gated(part, gate))
        except* ConfigurationError as group:
            raise group.exceptions[0] from None
        self._show_ready()
        await asyncio.wait(self._keeping, return_when=asyncio.FIRST_EXCEPTION)

    async def _start_gated(self, part: Part, gate: asyncio.Semaphore) -> None:
        async with gate:
            await self._start(part)

    async def _start(self, part: Part) -> None:
        keeper = Keeper(part, self._readiness(part), self._view, self._environment(part))
        self._keepers.append(keeper)
        keeping = asyncio.create_task(keeper.keep())
        self._keeping.add(keeping)
        ready = asyncio.create_task(keeper.ready.wait())
        await asyncio.wait({ready, keeping}, return_when=asyncio.FIRST_COMPLETED)
        ready.cancel()
        if keeping.done():
            keeping.result()

    def _readiness(self, part: Part) -> IsReady:
        if part.layer is Layer.DATABASE:
            return partial(database_answers, self._house)
        if part.layer is Layer.ERRAND:
            return partial(errand_works, self._house, part.name)
        return partial(is_serving, self._house, part.name)

    def _environment(self, part: Part) -> dict[str, str]:
        own = {"PORTCULLIS_HOME": str(self._house.home), "PORTCULLIS_PORT_BASE": str(self._house.port_base)}
        if part.layer is Layer.DATABASE or self._house.dsn:
            return own
        return {**own, "PORTCULLIS_DSN": dsn_as(self._house.database(), part.role)}

    def _on_signal(self) -> None:
        if self._stop.is_set():
            for keeper in self._keepers:
                keeper.kill()
        self._stop.set()

    def _show_ready(self) -> None:
        for part in self._parts:
            if part.layer is not Layer.ERRAND:
                self._view.say(f"{part.name:<14} {self._house.target(part.name)}", "green")
        if any(part.name == "review_console" for part in self._parts):
            self._view.say(f"{'console':<14} {ConsoleSettings().origin(self._house)}", "green")
        self._view.say(f"ready; data home {self._house.home}; Ctrl-C ends it", "bold green")


@contextmanager
def locked(home: Path) -> Iterator[None]:
    """Holds the data home for one supervisor; raises ConfigurationError with the other's pid where there is one."""
    home.mkdir(parents=True, exist_ok=True)
    with (home / "up.lock").open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise ConfigurationError(
                f"a house is up already on {home} (process {file.read().strip()}): use it, stop it, or set "
                "PORTCULLIS_HOME and PORTCULLIS_PORT_BASE for a second one"
            ) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield
