from __future__ import annotations

import os
import signal
import time

import pytest

from services.core import apart
from services.core.apart import Apart

HELPER = "services.core.imaging_worker"
TASK = {"kind": "PNG", "seconds": 5.0, "min_side": 8, "max_side": 64, "max_pixels": 4096}


def test_a_helper_that_was_late_never_answers_the_next_message() -> None:
    helper = Apart(HELPER)
    os.kill(helper._process.pid, signal.SIGSTOP)

    with pytest.raises(TimeoutError):
        helper.ask(TASK, [b"first"], 0.1)

    with pytest.raises(OSError, match="closed"):
        helper.ask(TASK, [b"second"], 5.0)


def test_a_helper_that_stands_still_holds_nobody_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apart, "_STALL_SECONDS", 1)
    helper = Apart(HELPER)
    os.kill(helper._process.pid, signal.SIGSTOP)
    begin = time.monotonic()

    with pytest.raises(BlockingIOError):
        helper.ask(TASK, [bytes(8 << 20)], 5.0)

    assert time.monotonic() - begin < 5
