"""A helper process of our own and the socket to it: for work that must be able to crash, hang or be foreign.

Both sides exchange messages: a JSON head and any number of byte bodies, each length-prefixed. Never pickles: what the
other process says is data, even when that process was taken over.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from typing import Any

Message = tuple[dict[str, Any], Sequence[bytes]]

_START_SECONDS = 60.0
_HEAD_BYTES = 1 << 20
_BODY_BYTES = 1 << 26
# One read or write that moves nothing for so long ends the talk: a stopped process must not hold a thread for ever.
_STALL_SECONDS = 30


class Apart:
    """One process running `python -m module`, which must call `serve`; `hello` is the head of its first message.

    It gets none of our environment, so it knows no secrets. EOFError or OSError where it does not come up.
    """

    def __init__(self, module: str) -> None:
        ours, theirs = socket.socketpair()
        for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
            ours.setsockopt(socket.SOL_SOCKET, option, struct.pack("ll", _STALL_SECONDS, 0))
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", module, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                env={"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "OPENBLAS_NUM_THREADS": "1"},
            )
        self._connection = Connection(ours.detach())
        try:
            self.hello, _ = self._receive(_START_SECONDS)
        except BaseException:
            self.end()
            raise

    def ask(self, head: dict[str, Any], bodies: Sequence[bytes], seconds: float) -> Message:
        """The answer to one message; EOFError or OSError where the process died, TimeoutError where it hangs.

        Whatever goes wrong ends the process: out of step, it would answer the next message with this one's content.
        """
        try:
            _send(self._connection, (head, bodies))
            return self._receive(seconds)
        except BaseException:
            self.end()
            raise

    @property
    def ended_by(self) -> int | None:
        """The number of the signal that ended the process; None where it lives or left by itself."""
        code = self._process.poll()
        return -code if code is not None and code < 0 else None

    def end(self) -> None:
        """Stop the process for good and leave no zombie."""
        self._connection.close()
        self._process.kill()
        self._process.wait()

    def _receive(self, seconds: float) -> Message:
        if not self._connection.poll(seconds):
            raise TimeoutError
        return _read(self._connection)


def serve(answer: Callable[[dict[str, Any], Sequence[bytes]], Message], hello: dict[str, Any]) -> None:
    """The helper's side: answer messages until the other side hangs up."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which hangs up when it is done
    connection = Connection(int(sys.argv[1]))
    try:
        _send(connection, (hello, []))
        while True:
            _send(connection, answer(*_read(connection)))
    except (EOFError, ConnectionError):
        return


def confine(memory_bytes: int) -> None:
    """Limit the helper that calls it: address space, no files written, no core dumps."""
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _send(connection: Connection, message: Message) -> None:
    head, bodies = message
    connection.send_bytes(json.dumps({"bodies": len(bodies), **head}).encode())
    for body in bodies:
        connection.send_bytes(body)


def _read(connection: Connection) -> Message:
    head = json.loads(connection.recv_bytes(_HEAD_BYTES))
    return head, [connection.recv_bytes(_BODY_BYTES) for _ in range(head.pop("bodies"))]
