"""One request on its way: what it hears, how it ends."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from threading import Event

from services.core.errors import PortcullisError
from services.generator.job import Job, Rendered


class Cancelled(PortcullisError):
    """The request was given up; whatever was half-made is gone."""

    code = "CANCELLED"


class TooLate(PortcullisError):
    """The deadline passed; whatever was half-made is gone."""

    code = "DEADLINE_EXCEEDED"


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a request is: `ahead` wait before it; or `step` of `steps` are done; or its pictures are being decoded."""

    ahead: int
    step: int = 0
    steps: int = 0
    decoding: bool = False


@dataclass(eq=False, slots=True)
class Ticket:
    """`tell` is called from the rendering thread; `result` ends with pictures or an error.

    `deadline` is on the monotonic clock; setting `stop` gives the request up.
    """

    job: Job
    tell: Callable[[Progress], None]
    deadline: float
    result: Future[Rendered] = field(default_factory=Future)
    stop: Event = field(default_factory=Event)
    _ahead: int = -1

    def check(self) -> None:
        """Raises what ends the request before its time."""
        if self.stop.is_set():
            raise Cancelled("the rendering was given up")
        if time.monotonic() >= self.deadline:
            raise TooLate("the deadline passed before the pictures were done", reason="DEADLINE_PASSED")

    def tell_place(self, ahead: int) -> None:
        """Tells how many wait before it, where that has changed; who cannot be told anything any more is gone."""
        if ahead == self._ahead:
            return
        self._ahead = ahead
        try:
            self.tell(Progress(ahead))
        except Exception:
            self.stop.set()
