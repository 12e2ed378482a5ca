"""Keeps the processes of the house running: starts them, shows their logs, restarts the dead, ends them in order."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from asyncio.subprocess import DEVNULL, STDOUT, Process
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress

from services.commands.log_view import LogView
from services.commands.parts import Layer, Part
from services.core.errors import ConfigurationError
from services.core.process import EXIT_CONFIGURATION

POLL_SECONDS = 0.25
FIRST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 30.0
HEALTHY_SECONDS = 60.0
STARTS_BEFORE_GIVING_UP = 3
# Beyond the drain that every server grants its running calls.
GRACE_SECONDS = 10.0
LAST_LINES_SECONDS = 1.0
LONGEST_LINE = 1 << 20

IsReady = Callable[[], Awaitable[bool]]


class Keeper:
    """One part of the house, kept alive."""

    def __init__(self, part: Part, is_ready: IsReady, view: LogView, environment: Mapping[str, str]) -> None:
        """`is_ready` says whether the running process may be used; it is asked until it says yes once."""
        self.part = part
        self._is_ready = is_ready
        self._view = view
        # One heap a thread, as glibc has it, doubles the memory of rooms whose threads come and go.
        self._environment = {"MALLOC_ARENA_MAX": "2", **os.environ, **environment, "PYTHONUNBUFFERED": "1"}
        self._process: Process | None = None
        self._stopping = asyncio.Event()
        self.ready = asyncio.Event()

    async def keep(self) -> None:
        """Runs the process until `stop`; raises ConfigurationError where it does not come up for the first time."""
        pause = FIRST_PAUSE_SECONDS
        early_ends = 0
        while not self._stopping.is_set():
            started = time.monotonic()
            status = await self._run_once()
            if self._stopping.is_set():
                return
            if not self.ready.is_set():
                early_ends += 1
                self._judge(status, early_ends)
            if time.monotonic() - started > HEALTHY_SECONDS:
                pause = FIRST_PAUSE_SECONDS
            self._view.say(f"{self.part.name} ended with {_ending(status)}; starting it again in {pause:.0f} s", "red")
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._stopping.wait()
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)

    async def stop(self, seconds: float) -> None:
        """Ends the process: SIGTERM, and SIGKILL where it is not gone after `seconds`."""
        self._stopping.set()
        process = self._process
        if process is None or process.returncode is not None:
            return
        process.terminate()
        try:
            async with asyncio.timeout(seconds):
                await process.wait()
        except TimeoutError:
            self._view.say(f"{self.part.name} does not end; killing it", "red")
            self.kill()
            await process.wait()

    def kill(self) -> None:
        """Ends the process and its own children at once."""
        self._stopping.set()
        if self._process is not None and self._process.returncode is None:
            os.killpg(self._process.pid, signal.SIGKILL)

    def _judge(self, status: int, ends: int) -> None:
        if status == EXIT_CONFIGURATION:
            raise ConfigurationError(f"{self.part.name} cannot run as it is set up; its last line above says why")
        if ends >= STARTS_BEFORE_GIVING_UP:
            raise ConfigurationError(
                f"{self.part.name} ended {ends} times before it was ready, last with {_ending(status)}; "
                "its lines above say why"
            )

    async def _run_once(self) -> int:
        # A pipe of our own: asyncio's would keep `wait` waiting while a grandchild of a killed process holds it open.
        ours, theirs = os.pipe()
        # A session of its own: Ctrl-C reaches the supervisor alone, which then ends the parts in order.
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "services.commands.child", self.part.module, str(os.getpid())),
            stdin=DEVNULL,
            stdout=theirs,
            stderr=STDOUT,
            env=self._environment,
            start_new_session=True,
        )
        os.close(theirs)
        self._process = process
        if self._stopping.is_set():  # told so while it was being started
            process.terminate()
        showing = asyncio.create_task(self._show_output(ours))
        try:
            await self._watch_readiness(process)
            return await process.wait()
        finally:
            self._end_orphans(process)
            await asyncio.wait({showing}, timeout=LAST_LINES_SECONDS)
            showing.cancel()

    def _end_orphans(self, process: Process) -> None:
        """Children of a killed process would hold its port. Postgres has a group of its own and mends at its start."""
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)

    async def _watch_readiness(self, process: Process) -> None:
        while process.returncode is None:
            if await self._is_ready():
                self._view.say(f"{self.part.name} is ready", "green")
                self.ready.set()
                return
            await asyncio.sleep(POLL_SECONDS)

    async def _show_output(self, pipe: int) -> None:
        output = asyncio.StreamReader(limit=LONGEST_LINE)
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(output), os.fdopen(pipe, "rb")
        )
        try:
            await self._show_lines(output)
        finally:
            transport.close()

    async def _show_lines(self, output: asyncio.StreamReader) -> None:
        while True:
            try:
                line = await output.readline()
            except ValueError:
                self._view.say(f"{self.part.name} wrote a line of more than {LONGEST_LINE} bytes", "red")
                continue
            if not line:
                return
            self._view.show(self.part.name, line.decode(errors="replace").rstrip())


async def stop_in_order(keepers: list[Keeper], drain_seconds: float) -> None:
    """Ends the parts layer by layer, those of one layer together."""
    for layer in Layer:
        await asyncio.gather(
            *(keeper.stop(drain_seconds + GRACE_SECONDS) for keeper in keepers if keeper.part.layer is layer)
        )


def _ending(status: int) -> str:
    return signal.Signals(-status).name if status < 0 else f"status {status}"
