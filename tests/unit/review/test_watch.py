"""Watching without a wire: who is slow falls out of the short memory, and still misses nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from uuid import UUID

import pytest

from services.core.errors import Exhausted
from services.core.staff import Analyst
from services.core.store.database import Database
from services.review import watch as watching
from services.review.watch import Change, Watch

OpenCase = Callable[..., Awaitable[UUID]]
ALICE = Analyst("alice", frozenset({"analyst"}))


@pytest.fixture
async def watch(house: Database, database: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Watch]:
    monkeypatch.setattr(watching, "REMEMBERED", 3)
    watch = Watch(database, house, 0.2)
    running = asyncio.create_task(watch.run())
    yield watch
    running.cancel()
    await asyncio.wait({running})


async def some(changes: AsyncIterator[Change], count: int) -> list[UUID]:
    async with asyncio.timeout(20):
        return [(await anext(changes)).item.item_id for _ in range(count)]


async def test_who_is_slow_is_told_everything_in_order(watch: Watch, open_case: OpenCase) -> None:
    start = await watch.now()
    slow, quick = (watch.changes(ALICE, None, start) for _ in range(2))
    first = await open_case(routed=False)
    seen = await some(slow, 1)
    others = []
    for _ in range(12):
        others.append(await open_case(routed=False))
        await some(quick, 1)

    rest = await some(slow, 12)

    assert (seen, rest) == ([first], others)


async def test_more_than_there_is_room_for_are_refused(watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "WATCHERS", 1)
    start = await watch.now()
    first = watch.changes(ALICE, None, start)
    waiting = asyncio.ensure_future(anext(first))
    await asyncio.sleep(0.2)

    with pytest.raises(Exhausted, match="too many watch"):
        await anext(watch.changes(ALICE, None, start))
    waiting.cancel()


async def test_a_place_is_free_again_when_its_watcher_has_left(
    watch: Watch, open_case: OpenCase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "WATCHERS", 1)
    start = await watch.now()
    first = watch.changes(ALICE, None, start)
    item_id = await open_case(routed=False)
    await some(first, 1)
    await first.aclose()

    assert await some(watch.changes(ALICE, None, start), 1) == [item_id]
