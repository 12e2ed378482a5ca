"""Health for strangers: whoever reaches a port may ask whether it serves, but not without end.

Each address may ask twenty times at once and then ten times a second, and watch on so many streams at once; beyond that
it hears RESOURCE_EXHAUSTED. Of addresses the last few thousand are remembered.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

import grpc

from services.core.errors import Exhausted
from services.core.limits.gcra import Bucket
from services.core.rpc.status import abort

MOST_ADDRESSES = 4096
STREAMS = 32
ASKING = Bucket(period=0.1, burst=20)

Context = grpc.aio.ServicerContext[Any, Any]


@dataclass(slots=True)
class _Peer:
    tat: float = 0.0
    streams: int = 0


class Probes:
    """Wraps the handlers of health."""

    def __init__(self) -> None:
        self._peers: OrderedDict[str, _Peer] = OrderedDict()

    def guarded(self, handler: grpc.RpcMethodHandler[Any, Any]) -> grpc.RpcMethodHandler[Any, Any]:
        """The same handler for those who do not ask too often."""
        inner: Any = handler

        async def unary(request: Any, context: Context) -> Any:
            try:
                self._take(context.peer())
            except Exhausted as error:
                await abort(context, error)
            return await inner.unary_unary(request, context)

        async def stream(request: Any, context: Context) -> None:
            try:
                with self._stream(context.peer()):
                    await inner.unary_stream(request, context)
            except Exhausted as error:
                await abort(context, error)

        codec = {
            "request_deserializer": inner.request_deserializer,
            "response_serializer": inner.response_serializer,
        }
        if inner.response_streaming:
            return grpc.unary_stream_rpc_method_handler(cast("Any", stream), **codec)
        return grpc.unary_unary_rpc_method_handler(cast("Any", unary), **codec)

    def _take(self, address: str) -> _Peer:
        peer, now = self._peer(address), time.monotonic()
        if not ASKING.fits(peer.tat, 1, now):
            wait = ASKING.wait(peer.tat, 1, now)
            raise Exhausted("health was asked too often from this address", reason="PROBED_TOO_OFTEN", retry_after=wait)
        peer.tat = ASKING.take(peer.tat, 1, now)
        return peer

    @contextmanager
    def _stream(self, address: str) -> Iterator[None]:
        peer = self._take(address)
        if peer.streams >= STREAMS:
            raise Exhausted("too many watch health from this address", reason="WATCHED_TOO_OFTEN", retry_after=1.0)
        peer.streams += 1
        try:
            yield
        finally:
            peer.streams -= 1

    def _peer(self, address: str) -> _Peer:
        """By host: another port is the same asker."""
        host = address.rpartition(":")[0] or address
        peer = self._peers.setdefault(host, _Peer())
        self._peers.move_to_end(host)
        while len(self._peers) > MOST_ADDRESSES:
            self._peers.popitem(last=False)
        return peer
