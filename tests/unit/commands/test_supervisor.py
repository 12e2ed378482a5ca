"""The supervisor over real processes."""

from __future__ import annotations

import asyncio
import io
import os
import signal
from pathlib import Path

import pytest
from rich.console import Console

from services.commands import supervisor
from services.commands.house import locked
from services.commands.log_view import LogView
from services.commands.parts import Layer, Part
from services.commands.supervisor import Keeper, stop_in_order
from services.core.errors import ConfigurationError

OBEDIENT = """
import os, pathlib, signal, sys, time
def end(*_):
    with open("ended", "a") as file:
        file.write(os.environ["NAME"] + " ")
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
pathlib.Path("pid-" + os.environ["NAME"]).write_text(str(os.getpid()))
print("at work", flush=True)
time.sleep(60)
"""
STUBBORN = OBEDIENT.replace("signal.signal(signal.SIGTERM, end)", "signal.signal(signal.SIGTERM, signal.SIG_IGN)")
PARENT = """
import os, pathlib, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
pathlib.Path("child").write_text(str(child.pid))
draft = pathlib.Path("draft")
draft.write_text(str(os.getpid()))
draft.rename("pid-" + os.environ["NAME"])
time.sleep(60)
"""
MISCONFIGURED = "import sys; print('the port is in use', flush=True); sys.exit(78)"
FRAGILE = "raise SystemExit(1)"


@pytest.fixture
def workshop(tmp_path, monkeypatch):
    for name, text in {
        "obedient": OBEDIENT,
        "stubborn": STUBBORN,
        "parent": PARENT,
        "misconfigured": MISCONFIGURED,
        "fragile": FRAGILE,
    }.items():
        (tmp_path / f"part_{name}.py").write_text(text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(supervisor, "FIRST_PAUSE_SECONDS", 0.05)
    monkeypatch.setattr(supervisor, "POLL_SECONDS", 0.02)
    return tmp_path


@pytest.fixture
def said() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def keeper(workshop, said):
    view = LogView(Console(file=said, width=200), ["part"])

    def make(kind: str, name: str = "part", layer: Layer = Layer.ROOM) -> Keeper:
        async def is_ready() -> bool:
            return (workshop / f"pid-{name}").exists()

        environment = {"PYTHONPATH": f"{workshop}:{Path(supervisor.__file__).parents[2]}", "NAME": name}
        return Keeper(Part(name, f"part_{kind}", layer), is_ready, view, environment)

    return make


def alive(pid: int) -> bool:
    """Whether it runs; a zombie that nobody has collected does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


async def started(keeper: Keeper) -> asyncio.Task[None]:
    keeping = asyncio.create_task(keeper.keep())
    async with asyncio.timeout(20):
        await keeper.ready.wait()
    return keeping


async def test_output_is_shown_and_sigterm_ends_it(keeper, said, workshop):
    part = keeper("obedient")
    keeping = await started(part)
    await part.stop(10)
    await keeping
    assert "part │ at work" in said.getvalue()
    assert (workshop / "ended").read_text() == "part "


async def test_a_killed_process_is_started_again(keeper, workshop):
    part = keeper("obedient")
    keeping = await started(part)
    first = int((workshop / "pid-part").read_text())
    os.kill(first, signal.SIGKILL)
    second = first
    for _ in range(400):
        second = int((workshop / "pid-part").read_text() or first)
        if second != first:
            break
        await asyncio.sleep(0.05)
    assert second != first
    await part.stop(10)
    await keeping


async def test_children_of_a_killed_process_do_not_live_on(keeper, workshop):
    part = keeper("parent")
    keeping = await started(part)
    child = int((workshop / "child").read_text())
    os.kill(int((workshop / "pid-part").read_text()), signal.SIGKILL)
    for _ in range(400):
        if not alive(child):
            break
        await asyncio.sleep(0.05)
    assert not alive(child)
    await part.stop(10)
    await keeping


async def test_told_to_stop_it_does_not_wait_for_the_next_start(keeper, workshop, monkeypatch):
    part = keeper("obedient")
    keeping = await started(part)
    monkeypatch.setattr(supervisor, "FIRST_PAUSE_SECONDS", 60.0)
    os.kill(int((workshop / "pid-part").read_text()), signal.SIGKILL)
    await asyncio.sleep(0.5)
    await part.stop(10)
    async with asyncio.timeout(5):
        await keeping


async def test_told_to_stop_while_it_starts_it_ends(keeper):
    part = keeper("obedient")
    keeping = asyncio.create_task(part.keep())
    await asyncio.sleep(0)
    await part.stop(10)
    async with asyncio.timeout(20):
        await keeping


async def test_a_wrong_set_up_ends_the_start_at_once(keeper, said):
    with pytest.raises(ConfigurationError, match="its last line above says why"):
        await keeper("misconfigured").keep()
    assert said.getvalue().count("the port is in use") == 1


async def test_what_never_comes_up_is_given_up(keeper):
    with pytest.raises(ConfigurationError, match="ended 3 times before it was ready"):
        await keeper("fragile").keep()


async def test_what_does_not_obey_is_killed(keeper, said):
    part = keeper("stubborn")
    keeping = await started(part)
    await part.stop(0.2)
    await keeping
    assert "does not end; killing it" in said.getvalue()


async def test_layers_end_in_order(keeper, workshop):
    parts = [keeper("obedient", layer.name, layer) for layer in (Layer.DATABASE, Layer.ROOM, Layer.DOOR)]
    keeping = [await started(part) for part in parts]
    await stop_in_order(parts, 10)
    await asyncio.gather(*keeping)
    assert (workshop / "ended").read_text() == "DOOR ROOM DATABASE "


def test_a_home_has_one_supervisor(tmp_path):
    with (
        locked(tmp_path),
        pytest.raises(ConfigurationError, match=f"up already .* \\(process {os.getpid()}\\)"),
        locked(tmp_path),
    ):
        pass


def test_a_home_is_free_again_afterwards(tmp_path):
    with locked(tmp_path):
        pass
    with locked(tmp_path):
        pass
