"""The house comes and goes as a whole."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from services.commands.ports import free_base

PORTCULLIS = Path(sys.executable).with_name("portcullis")


@pytest.fixture
def small_house(tmp_path):
    """The prompt filter and an embedded Postgres, up on a home of their own."""
    environment = {**os.environ, "PORTCULLIS_HOME": str(tmp_path), "PORTCULLIS_PORT_BASE": str(free_base())}
    command = [PORTCULLIS, "up", "--only", "prompt_filter"]
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
    lines = []
    for line in process.stderr:
        lines.append(line)
        if "ready; data home" in line:
            break
    assert "ready; data home" in lines[-1], "".join(lines)
    yield process
    process.kill()
    process.wait()


def of_home(home: Path) -> list[str]:
    """Every process that works on the home, by its command: told by its environment, or by the folder it is in."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            variables = (process / "environ").read_bytes()
            if f"PORTCULLIS_HOME={home}".encode() in variables or (process / "cwd").readlink().is_relative_to(home):
                found.append((process / "cmdline").read_bytes().decode().replace("\0", " "))
        except OSError:  # it has ended meanwhile, or is another user's
            continue
    return found


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_cleanly_and_leaves_nothing_behind(small_house, tmp_path, number):
    assert len(of_home(tmp_path)) > 3
    small_house.send_signal(number)
    _, said = small_house.communicate(timeout=60)
    assert small_house.returncode == 0
    assert said.index("prompt_filter │") < said.index("database system is shut down")
    assert of_home(tmp_path) == []


def test_killed_it_leaves_nothing_behind_and_starts_again(small_house, tmp_path):
    small_house.kill()
    deadline = time.monotonic() + 30
    while of_home(tmp_path) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert of_home(tmp_path) == []
