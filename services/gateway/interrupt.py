"""Ends a request on its way when what let it in no longer holds."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import TypeVar

Event = TypeVar("Event")


async def while_allowed(
    events: AsyncGenerator[Event, None], check: Callable[[], Awaitable[None]], seconds: float
) -> AsyncGenerator[Event, None]:
    """Passes events on, and asks `check` so often, also while none comes; what that raises ends them at once.

    Closing it, for whatever reason, closes `events`.
    """
    due = time.monotonic() + seconds
    coming = asyncio.ensure_future(anext(events))
    try:
        while True:
            await asyncio.wait([coming], timeout=max(0.0, due - time.monotonic()))
            if time.monotonic() >= due:
                await check()
                due = time.monotonic() + seconds
            if coming.done():
                try:
                    event = coming.result()
                except StopAsyncIteration:
                    return
                yield event
                coming = asyncio.ensure_future(anext(events))
    finally:
        coming.cancel()
        await asyncio.gather(coming, return_exceptions=True)
        await events.aclose()
