"""What the service costs as a process: seconds from its start until it is ready, and resident memory."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

from benchmarks.report.table import Figure
from demo.running import START_SECONDS, STOP_SECONDS, NotUp
from services.commands.ports import free_base

_MODULE = "services.prompt_filter"
_READY = "prompt_filter is ready"
_GROWTH = """
import sys, psutil
from services.prompt_filter.pipeline import PromptPipeline
from services.prompt_filter.settings import PromptFilterSettings
pipeline = PromptPipeline.load(PromptFilterSettings())
before = psutil.Process().memory_info().rss
for line in sys.stdin:
    pipeline.measure(line.strip())
print(psutil.Process().memory_info().rss - before)
"""


def measure(prompts: list[str]) -> list[Figure]:
    """Starts the room by itself in a house of its own, with a database."""
    with tempfile.TemporaryDirectory() as folder:
        seconds, resident = _room(Path(folder))
    grown = subprocess.run(
        [sys.executable, "-c", _GROWTH], input="\n".join(prompts), capture_output=True, check=True, text=True
    )
    used = (resident + int(grown.stdout)) / 2**20
    return [
        Figure("service: cold start until ready", 1, seconds, 3.0, at_most=True, form="{:.1f} s"),
        Figure("service: resident memory when ready", 1, resident / 2**20, 400, at_most=True, form="{:.0f} MB"),
        Figure("service: resident memory after prompts", len(prompts), used, 400, at_most=True, form="{:.0f} MB"),
    ]


def _room(folder: Path) -> tuple[float, int]:
    """Seconds and bytes of the process; NotUp if it does not come up."""
    log = folder / "log"
    environment = {"PORTCULLIS_HOME": str(folder / "home"), "PORTCULLIS_PORT_BASE": str(free_base())}
    command = [str(Path(sys.executable).with_name("portcullis")), "up", "--only", "prompt_filter"]
    (folder / "home").mkdir()
    with log.open("wb") as output:
        house = subprocess.Popen(command, env=_with(environment), stdout=output, stderr=subprocess.STDOUT)
    try:
        return _await(house, log)
    finally:
        house.terminate()
        house.wait(STOP_SECONDS)


def _await(house: subprocess.Popen[bytes], log: Path) -> tuple[float, int]:
    deadline = time.monotonic() + START_SECONDS
    while house.poll() is None and time.monotonic() < deadline:
        if _READY in log.read_text(errors="replace"):
            now = time.time()
            room = next(p for p in psutil.Process(house.pid).children(recursive=True) if _MODULE in p.cmdline())
            return now - room.create_time(), room.memory_info().rss
        time.sleep(0.02)
    raise NotUp(log.read_text(errors="replace")[-2_000:])


def _with(settings: dict[str, str]) -> dict[str, str]:
    return {**psutil.Process().environ(), **settings}
