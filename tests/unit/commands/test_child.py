"""A child does not outlive its supervisor, however that ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

SUPERVISOR = """
import os, subprocess, sys
child = subprocess.Popen([sys.executable, "-m", "services.commands.child", "part_sleeper", str(os.getpid())])
child.wait()
"""
SLEEPER = """
import os, pathlib, time
draft = pathlib.Path("draft")
draft.write_text(str(os.getpid()))
draft.rename("pid")
time.sleep(60)
"""


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def wait_for(condition) -> bool:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.05)
    return False


def test_it_ends_when_its_supervisor_is_killed(tmp_path):
    (tmp_path / "part_sleeper.py").write_text(SLEEPER)
    root = Path(__file__).resolve().parents[3]
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}:{root}"}
    supervisor = subprocess.Popen([sys.executable, "-c", SUPERVISOR], cwd=tmp_path, env=environment)
    assert wait_for((tmp_path / "pid").exists)
    child = int((tmp_path / "pid").read_text())
    supervisor.send_signal(signal.SIGKILL)
    supervisor.wait()
    assert wait_for(lambda: gone(child))


def test_it_does_not_start_for_a_supervisor_that_is_gone():
    command = [sys.executable, "-m", "services.commands.child", "this", "1"]
    assert subprocess.run(command, capture_output=True, timeout=30).returncode == 1
