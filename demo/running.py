"""A house of one's own for the length of a block: `portcullis up` on a folder, its log beside it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from portcullis import Profile
from services.commands.ports import free_base

START_SECONDS = 180.0
STOP_SECONDS = 60.0
READY = "ready; data home"


class NotUp(Exception):
    """The house did not come up; the message ends with the last lines of its log."""


@dataclass(frozen=True, slots=True)
class RunningHouse:
    """A house that answers."""

    home: Path
    port_base: int
    log: Path
    process: subprocess.Popen[bytes]

    @property
    def profile(self) -> Profile:
        """How to reach it, as tenant and as analyst."""
        return Profile.model_validate_json((self.home / "client.json").read_text())

    @property
    def environment(self) -> dict[str, str]:
        """The variables with which the command line reaches it."""
        return {**os.environ, "PORTCULLIS_HOME": str(self.home), "PORTCULLIS_PORT_BASE": str(self.port_base)}

    @property
    def dsn(self) -> str:
        """Its Postgres."""
        return (self.home / "postgres.dsn").read_text().strip()

    def pid(self, module: str) -> int:
        """The process of `python -m services.<module>`; LookupError where none runs."""
        supervisor = self.process.pid
        for child in Path(f"/proc/{supervisor}/task/{supervisor}/children").read_text().split():
            command = Path(f"/proc/{child}/cmdline").read_bytes().decode().replace("\0", " ")
            if re.search(rf"services\.{module}\b(?!\.)", command):
                return int(child)
        raise LookupError(module)


@contextmanager
def running_house(
    home: Path, tell: Callable[[str], None], settings: dict[str, str] | None = None, only: Sequence[str] = ()
) -> Iterator[RunningHouse]:
    """Starts a house on `home` with `settings` in its environment, tells what became ready, ends it afterwards.

    Of its rooms it starts `only` those that are named; all, where none is.

    Raises NotUp if it ends or does not come up in three minutes.
    """
    home.mkdir(parents=True, exist_ok=True)
    base, log = free_base(), home.with_suffix(".log")
    environment = {**os.environ, **(settings or {}), "PORTCULLIS_HOME": str(home), "PORTCULLIS_PORT_BASE": str(base)}
    command = [str(Path(sys.executable).with_name("portcullis")), "up", *(f"--only={room}" for room in only)]
    with log.open("wb") as output:
        process = subprocess.Popen(command, env=environment, stdout=output, stderr=subprocess.STDOUT)
    try:
        _await_ready(process, log, tell)
        yield RunningHouse(home, base, log, process)
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            raise


def _await_ready(process: subprocess.Popen[bytes], log: Path, tell: Callable[[str], None]) -> None:
    told = 0
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        news = [line.partition("│")[2].strip() for line in log.read_text(errors="replace").splitlines()]
        news = [line for line in news if line.endswith(" is ready") or line.startswith(READY)]
        for line in news[told:]:
            tell(line)
        told = len(news)
        if news and news[-1].startswith(READY):
            return
        if process.poll() is not None:
            break
        time.sleep(0.2)
    raise NotUp("the house did not come up; its log ends with\n" + "\n".join(log.read_text().splitlines()[-25:]))
