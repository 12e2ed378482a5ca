"""A way to a server that can be slowed and cut: bytes are passed on, later, or not at all, and no connection ends."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path

Place = tuple[str, int] | Path  # a TCP port, or a Unix socket
CHUNK = 65_536


class Link:
    """Listens at `here` and passes on to `there`; `delay` is in seconds for each piece, `passing` unset cuts."""

    def __init__(self, here: Place, there: Place) -> None:
        self._here, self._there = here, there
        self._server: asyncio.Server | None = None
        self._conversations: set[asyncio.Task[None]] = set()
        self.delay = 0.0
        self.passing = asyncio.Event()
        self.passing.set()

    async def open(self) -> None:
        """Listens from now on."""
        if isinstance(self._here, Path):
            self._here.parent.mkdir(parents=True, exist_ok=True)
            self._server = await asyncio.start_unix_server(self._accept, self._here)
        else:
            self._server = await asyncio.start_server(self._accept, *self._here)

    async def close(self) -> None:
        """Ends every conversation."""
        if self._server is not None:
            self._server.close()
        for conversation in self._conversations:
            conversation.cancel()
        await asyncio.gather(*self._conversations, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None, "asyncio runs this in a task"
        self._conversations.add(task)
        try:
            await self._converse(reader, writer)
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            self._conversations.discard(task)
            writer.close()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self.passing.wait()
        if isinstance(self._there, Path):
            theirs, to_them = await asyncio.open_unix_connection(self._there)
        else:
            theirs, to_them = await asyncio.open_connection(*self._there)
        ways = [asyncio.create_task(self._pass(*way)) for way in ((reader, to_them), (theirs, writer))]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            to_them.close()

    async def _pass(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await source.read(CHUNK):
                if self.delay:
                    await asyncio.sleep(self.delay)
                await self.passing.wait()
                sink.write(data)
                await sink.drain()
