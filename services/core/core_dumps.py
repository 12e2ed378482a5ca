"""No core dumps of a process that holds keys, prompts or pictures."""

from __future__ import annotations

import ctypes
import resource
import sys

_PR_SET_DUMPABLE = 4


def forbid_core_dumps() -> None:
    """From now on this process leaves no core, and only root may trace it or read its memory; call it before any key.

    The limit alone is not enough: a kernel that pipes cores to a program does not ask it (core(5), prctl(2)).
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
