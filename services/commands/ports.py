"""Which ports of this machine are free."""

from __future__ import annotations

import random
import socket

from services.core.config import FIRST_PORT, METRICS_OFFSET, ROOMS

STEP = 200
LAST_BASE = 32_000
# A house takes the first ports from its base, one more for its console, and as many from the base plus 100 for metrics,
# where its errands have theirs as well.
OFFSETS = [offset + start for start in (0, METRICS_OFFSET) for offset in range(len(ROOMS) + 4)]


def is_free(interface: str, port: int) -> bool:
    """Whether a server could listen there now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((interface, port))
        except OSError:
            return False
    return True


def free_base(interface: str = "127.0.0.1") -> int:
    """A PORTCULLIS_PORT_BASE with room for a whole house, at random, so that two started at once take different ones.

    Raises OSError where there is none.
    """
    bases = range(FIRST_PORT, LAST_BASE, STEP)
    for base in random.sample(bases, len(bases)):
        if all(is_free(interface, base + offset) for offset in OFFSETS):
            return base
    raise OSError("no ports are free for a house")
