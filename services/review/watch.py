"""What happens at the desk, as it happens, for any number of people at once.

One connection listens for all of them and one reader reads for all of them, into a short memory from which each is
served; who is behind it (or comes from the past) reads from Postgres alone until he has caught up.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass
from operator import attrgetter
from uuid import UUID

import structlog

from services.core.errors import Exhausted, FailedPrecondition, Unavailable
from services.core.staff import Analyst
from services.core.store import cases, events, review_items
from services.core.store.database import Database, listen
from services.core.store.review_items import ReviewItem

ITEMS = "item."
PAGE = 500
REMEMBERED = 2000
WATCHERS = 256
RETRY_SECONDS = 1.0
LATE_SECONDS = 0.02  # how soon to look again for events that are committed and cannot be read yet

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Change:
    """What happened to an item ("queued") and the item as it stands; `cursor` is where to go on from."""

    cursor: int
    name: str
    item: ReviewItem
    case_size: int  # undecided items of its case, itself included


@dataclass(frozen=True, slots=True)
class _Page:
    changes: list[Change]
    end: int
    full: bool  # there may be more at once
    late: bool  # there is more that cannot be read yet


class Watch:
    """Tells of items. `run` must run for its life; `close` ends every stream."""

    def __init__(self, dsn: str, database: Database, poll_seconds: float) -> None:
        """`poll_seconds` is how often to look where no bell rang, as while the listening connection is lost."""
        self._dsn = dsn
        self._database = database
        self._poll_seconds = poll_seconds
        self._bell = asyncio.Event()
        self._moved = asyncio.Event()  # replaced at each move, so that all who wait wake once
        self._wanted = asyncio.Event()
        self._watchers = 0
        self._closed = False
        # All changes after `_start` up to `_end` are in `_memory`.
        self._memory: list[Change] = []
        self._start = self._end = 0

    async def run(self) -> None:
        """Hears and reads, through outages of Postgres."""
        async with asyncio.TaskGroup() as tasks:
            for work in (self._hear, self._follow):
                tasks.create_task(self._through_outages(work))

    def close(self) -> None:
        """Ends every stream, and lets none begin."""
        self._closed = True
        self._wake()

    async def now(self) -> int:
        """The cursor from which one is told of everything that is committed from now on."""
        async with self._database.transaction() as conn:
            return (await events.horizon(conn)).position

    async def changes(self, analyst: Analyst, queue: str | None, cursor: int) -> AsyncGenerator[Change, None]:
        """Changes after `cursor` that this analyst may see, of one queue or all (None), until `close`.

        Raises FailedPrecondition where events after it were deleted (or it was never ours), Exhausted where too many
        watch already, Unavailable if Postgres is not there.
        """
        await self._check(cursor)
        sees = analyst.sees()
        await self._enter()
        try:
            while not self._closed:
                moved = self._moved
                changes, end = await self._after(cursor)
                for change in changes:
                    if change.item.sealed in sees and queue in (None, change.item.queue):
                        yield change
                if cursor == end:
                    await moved.wait()
                cursor = end
        finally:
            self._leave()

    async def _check(self, cursor: int) -> None:
        async with self._database.transaction() as conn:
            known = await events.forgotten(conn) <= cursor <= (await events.horizon(conn)).position
        if not known:
            raise FailedPrecondition(
                "what came after this cursor is not kept any more; list the items and watch from 0",
                reason="CURSOR_EXPIRED",
            )

    async def _enter(self) -> None:
        if self._watchers >= WATCHERS:
            raise Exhausted("too many watch at once; try again", reason="WATCHERS", retry_after=1.0)
        self._watchers += 1
        if self._watchers == 1:
            try:
                now = await self.now()
            except BaseException:
                self._watchers -= 1
                raise
            self._memory, self._start, self._end = [], now, now
        self._wanted.set()

    def _leave(self) -> None:
        self._watchers -= 1
        if not self._watchers:
            self._wanted.clear()

    async def _after(self, cursor: int) -> tuple[list[Change], int]:
        """Changes after `cursor` and where they end: the cursor itself where nothing is new."""
        if cursor < self._start:
            page = await self._read(cursor)
            return page.changes, page.end
        first = bisect_right(self._memory, cursor, key=attrgetter("cursor"))
        return self._memory[first:], max(cursor, self._end)

    async def _read(self, cursor: int) -> _Page:
        async with self._database.transaction() as conn:
            until = await events.horizon(conn)
            page = await events.read(conn, cursor, until, sealed=[False, True], types=[ITEMS], limit=PAGE)
            ids = {UUID(event.subject) for event in page.events}
            items = await review_items.by_ids(conn, list(ids)) if ids else {}
            sizes = await cases.sizes(conn, items.values()) if items else {}
        found = [
            Change(event.position, event.type.removeprefix(ITEMS), item, sizes[item.item_id])
            for event in page.events
            if (item := items.get(UUID(event.subject))) is not None
        ]
        return _Page(found, page.end, page.full, until.late)

    async def _follow(self) -> None:
        await self._wanted.wait()
        self._bell.clear()
        start = self._end
        page = await self._read(start)
        if start != self._end:  # everybody left meanwhile, and somebody came
            return
        if page.end != start:
            self._memory.extend(page.changes)
            self._end = page.end
            if len(self._memory) > 2 * REMEMBERED:
                self._start = self._memory[-REMEMBERED - 1].cursor
                del self._memory[:-REMEMBERED]
            self._wake()
        if page.full:
            return
        try:
            async with asyncio.timeout(LATE_SECONDS if page.late else self._poll_seconds):
                await self._bell.wait()
        except TimeoutError:
            return

    def _wake(self) -> None:
        moved, self._moved = self._moved, asyncio.Event()
        moved.set()

    async def _hear(self) -> None:
        async for _ in listen(self._dsn, events.CHANNEL):
            self._bell.set()

    async def _through_outages(self, work: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await work()
            except Unavailable as error:
                log.warning("waiting", reason=error.reason, why=error.message)
                await asyncio.sleep(RETRY_SECONDS)
