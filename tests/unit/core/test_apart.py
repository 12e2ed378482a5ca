from __future__ import annotations

import os
import signal
import time
from dataclasses import asdict

import pytest

from services.core import apart
from services.core.apart import Apart
from services.core.imaging_formats import Limits

HELPER = "services.core.imaging_worker"
TASK = {"kind": "PNG", **asdict(Limits())}


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
