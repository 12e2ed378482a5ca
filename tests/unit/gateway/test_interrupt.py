"""A request on its way ends when what let it in no longer holds."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import pytest

from services.core.errors import FailedPrecondition
from services.gateway.interrupt import while_allowed


class Work:
    """Events every few milliseconds, or none at all; notes how it ended."""

    def __init__(self, count: int, *, silent: bool = False) -> None:
        self.count = count
        self.silent = silent
        self.ended = False

    async def events(self) -> AsyncGenerator[int, None]:
        try:
            for number in range(self.count):
                await asyncio.sleep(3600 if self.silent else 0.005)
                yield number
        finally:
            self.ended = True


async def allowed() -> None:
    """Nothing has changed."""


async def suspended() -> None:
    raise FailedPrecondition("this account is suspended")


async def test_all_events_pass() -> None:
    assert [number async for number in while_allowed(Work(5).events(), allowed, 0.001)] == list(range(5))


@pytest.mark.parametrize("silent", [False, True])
async def test_what_the_check_raises_ends_the_work(silent: bool) -> None:
    work = Work(1000, silent=silent)
    with pytest.raises(FailedPrecondition):
        async for _ in while_allowed(work.events(), suspended, 0.02):
            pass
    assert work.ended


async def test_what_the_work_raises_comes_out() -> None:
    async def failing() -> AsyncGenerator[int, None]:
        yield 1
        raise LookupError

    with pytest.raises(LookupError):
        async for _ in while_allowed(failing(), allowed, 60):
            pass


async def test_a_caller_who_leaves_ends_the_work() -> None:
    work = Work(1000)
    events = while_allowed(work.events(), allowed, 60)
    await anext(events)
    await events.aclose()
    assert work.ended
