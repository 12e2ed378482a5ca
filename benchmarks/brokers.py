"""Real brokers for tests and benchmarks: Redis and RabbitMQ from Debian's packages, each in a folder of its own."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

Name = Literal["pgmq", "redis", "rabbitmq"]
Server = Literal["redis", "rabbitmq"]  # with a process and an address of its own
NAMES: tuple[Name, ...] = ("pgmq", "rabbitmq", "redis")
PROGRAMS = {"redis": Path("/usr/bin/redis-server"), "rabbitmq": Path("/usr/lib/rabbitmq/bin/rabbitmq-server")}
START_SECONDS = 60


def missing(name: Name) -> str:
    """What to install for this broker; empty where it is here, and for pgmq, which is in Postgres."""
    return "" if name == "pgmq" or PROGRAMS[name].exists() else f"apt-get install {name}-server"


class Broker:
    """A server on this machine that can be killed and started again on its data."""

    def __init__(self, name: Name, folder: Path) -> None:
        """`folder` is made, and holds all of the server's files."""
        self.name = name
        self._folder = folder
        self._port = _free_port()
        self._environment = dict(os.environ)
        self.process: subprocess.Popen[bytes] | None = None
        folder.mkdir(parents=True)
        if name == "rabbitmq":
            self._environment |= _rabbitmq_environment(folder, self._port)

    @property
    def url(self) -> str:
        """As PORTCULLIS_BROKER_URL wants it; empty for pgmq."""
        match self.name:
            case "pgmq":
                return ""
            case "redis":
                return f"redis://127.0.0.1:{self._port}/0"
            case "rabbitmq":
                return f"amqp://guest:guest@127.0.0.1:{self._port}//"

    def start(self) -> None:
        """Starts it and waits until it accepts connections."""
        if self.name == "pgmq":
            return
        redis = ["--port", str(self._port), "--bind", "127.0.0.1", "--dir", str(self._folder)]
        aof = ["--appendonly", "yes", "--appendfsync", "everysec", "--save", ""]
        arguments = [*redis, *aof] if self.name == "redis" else []
        with (self._folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [PROGRAMS[self.name], *arguments],
                stdout=log,
                stderr=log,
                env=self._environment,
                start_new_session=True,
            )
        deadline = time.monotonic() + START_SECONDS
        while not _accepts(self._port):
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{self.name} did not start:\n{(self._folder / 'log').read_text()[-2000:]}")
            time.sleep(0.1)

    def kill(self) -> None:
        """Ends it as a power cut would."""
        if self.process is not None and self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            while _accepts(self._port):  # the program under its start script takes a moment to be gone
                time.sleep(0.05)


@contextmanager
def running(name: Name, folder: Path) -> Iterator[Broker]:
    """A started broker; killed and its folder removed at the end."""
    broker = Broker(name, folder)
    try:
        broker.start()
        yield broker
    finally:
        broker.kill()
        shutil.rmtree(folder, ignore_errors=True)


def _rabbitmq_environment(folder: Path, port: int) -> dict[str, str]:
    config = folder / "rabbitmq.conf"
    config.write_text(f"listeners.tcp.1 = 127.0.0.1:{port}\n")
    # The cookie is a file of the home; the nodes of two runs must not meet.
    return {
        "HOME": str(folder),
        "RABBITMQ_CONFIG_FILE": str(config.with_suffix("")),
        "RABBITMQ_DIST_PORT": str(_free_port()),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "no-plugins"),
        "RABBITMQ_LOG_BASE": str(folder / "logs"),
        "RABBITMQ_MNESIA_BASE": str(folder / "data"),
        "RABBITMQ_NODENAME": f"portcullis{secrets.token_hex(4)}@localhost",
        "RABBITMQ_PID_FILE": str(folder / "pid"),
    }


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _accepts(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), 1):
            return True
    except OSError:
        return False
