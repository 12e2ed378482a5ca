"""Runs a module as a child that does not outlive its supervisor: `python -m services.commands.child MODULE`.

Linux sends the signal chosen with prctl(PR_SET_PDEATHSIG) when the parent ends, however it ends; elsewhere a killed
supervisor leaves its children to be stopped by hand.
"""

from __future__ import annotations

import ctypes
import os
import runpy
import signal
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    """Ties this process to its parent, then becomes the module."""
    module, supervisor = sys.argv[1], int(sys.argv[2])
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != supervisor:  # it ended before the tie was made
        sys.exit(1)
    sys.argv = [module]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
