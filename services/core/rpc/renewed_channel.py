"""A channel whose certificates may be renewed: gRPC for Python takes those of a channel once and for ever.

New calls go over a channel made with the files as they are; those that run end on the one that they began on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import grpc

from services.core.rpc.identity_files import Identity, IdentityFiles

Open = Callable[[Identity], grpc.aio.Channel]


@dataclass(slots=True)
class _Line:
    """One channel, and the calls that run on it."""

    identity: Identity
    channel: grpc.aio.Channel
    running: int = 0
    retired: bool = False


class RenewedChannel(grpc.aio.Channel):
    """As the channel that `open_channel` makes; used from one event loop."""

    def __init__(self, files: IdentityFiles, open_channel: Open) -> None:
        self._files = files
        self._open = open_channel
        self._line = self._new_line()
        self._closing: set[asyncio.Task[None]] = set()

    def unary_unary(self, method: str, *args: Any, **codec: Any) -> Any:
        """As grpc.aio.Channel.unary_unary; so are the next three."""
        return self._multi("unary_unary", method, *args, **codec)

    def unary_stream(self, method: str, *args: Any, **codec: Any) -> Any:
        """See unary_unary."""
        return self._multi("unary_stream", method, *args, **codec)

    def stream_unary(self, method: str, *args: Any, **codec: Any) -> Any:
        """See unary_unary."""
        return self._multi("stream_unary", method, *args, **codec)

    def stream_stream(self, method: str, *args: Any, **codec: Any) -> Any:
        """See unary_unary."""
        return self._multi("stream_stream", method, *args, **codec)

    def get_state(self, try_to_connect: bool = False) -> grpc.ChannelConnectivity:
        """Of the channel that new calls go over."""
        return self._current().channel.get_state(try_to_connect)

    async def wait_for_state_change(self, last_observed_state: grpc.ChannelConnectivity) -> None:
        """Of the channel that new calls go over."""
        await self._current().channel.wait_for_state_change(last_observed_state)

    async def channel_ready(self) -> None:
        """Of the channel that new calls go over."""
        await self._current().channel.channel_ready()

    async def close(self, grace: float | None = None) -> None:
        """Closes the channel; those that were retired end with their last call."""
        await self._line.channel.close(grace)

    async def __aenter__(self) -> RenewedChannel:
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self.close()

    def _multi(self, kind: str, method: str, *args: Any, **codec: Any) -> Callable[..., Any]:
        def call(*call_args: Any, **options: Any) -> Any:
            line = self._current()
            begun = getattr(line.channel, kind)(method, *args, **codec)(*call_args, **options)
            line.running += 1
            begun.add_done_callback(lambda _call: self._ended(line))
            return begun

        return call

    def _current(self) -> _Line:
        if self._files.current() is not self._line.identity:
            old, self._line = self._line, self._new_line()
            old.retired = True
            self._close_idle(old)
        return self._line

    def _new_line(self) -> _Line:
        identity = self._files.current()
        return _Line(identity, self._open(identity))

    def _ended(self, line: _Line) -> None:
        line.running -= 1
        self._close_idle(line)

    def _close_idle(self, line: _Line) -> None:
        if line.retired and line.running == 0:
            task = asyncio.ensure_future(line.channel.close(None))
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)
