"""What takes longer than a page may: reckoned beside the pages, one at a time for each name, its last result kept."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Generic, TypeVar, cast

import structlog

from services.core import telemetry

T = TypeVar("T")
Work = Callable[[], Awaitable[T]]
PATIENCE_SECONDS = 0.05  # so that a small house sees its result at once

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Result(Generic[T]):
    """The last `value` and when it was done, None before the first.

    `since` is when the work began that goes on now, None where none does; `failed`: the last one broke off.
    """

    value: T | None = None
    at: datetime | None = None
    since: datetime | None = None
    failed: bool = False


class Kept:
    """Results by name, in this process alone: after a restart they are reckoned again."""

    def __init__(self) -> None:
        self._results: dict[str, Result[Any]] = {}
        self._running: dict[str, asyncio.Task[None]] = {}

    def begin(self, name: str, work: Work[Any]) -> None:
        """Begins the work unless it goes on already."""
        if name not in self._running:
            before = self._results.get(name, Result())
            self._results[name] = Result(before.value, before.at, datetime.now(UTC), before.failed)
            self._running[name] = asyncio.create_task(self._run(name, work))

    async def last(self, name: str) -> Result[Any]:
        """What is known now; work that has just begun is given a moment."""
        running, result = self._running.get(name), self._results.get(name, Result())
        if running is not None and result.since is not None:
            gone_on = (datetime.now(UTC) - result.since).total_seconds()
            await asyncio.wait([running], timeout=max(PATIENCE_SECONDS - gone_on, 0))
        return self._results.get(name, Result())

    async def fresh(self, name: str, work: Work[T], age: timedelta) -> Result[T]:
        """What is known now; where that is older than `age`, the work begins, and the next who asks has it anew."""
        at = self._results.get(name, Result()).at
        if at is None or datetime.now(UTC) - at > age:
            self.begin(name, work)
        return cast(Result[T], await self.last(name))

    async def close(self) -> None:
        """Breaks off what goes on."""
        tasks = list(self._running.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self, name: str, work: Work[Any]) -> None:
        before = self._results[name]
        try:
            self._results[name] = Result(await work(), datetime.now(UTC))
        except Exception as error:
            log.warning("not reckoned", what=name, **telemetry.fault(error))
            self._results[name] = Result(before.value, before.at, failed=True)
        finally:
            del self._running[name]
