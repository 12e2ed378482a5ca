"""Calls from one room to another: mTLS, the other side's name checked, balanced over its replicas.

A target `dns:///name:port` stands for all the addresses that the name has: calls go round them, and the name is looked
up again when a connection ends. Servers end connections now and then, so that new replicas get their share.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Awaitable
from typing import Any, TypeVar

import grpc

from services.core.config import HouseSettings
from services.core.rpc import tls
from services.core.rpc.identity_files import Identity
from services.core.rpc.renewed_channel import RenewedChannel
from services.core.rpc.server import ROOM_RECEIVE_BYTES
from services.core.rpc.status import from_rpc_error

Response = TypeVar("Response")
SERVICE_CONFIG = json.dumps({"loadBalancingConfig": [{"round_robin": {}}]})


def connect(house: HouseSettings, identity: str, room: str) -> RenewedChannel:
    """A channel to `room` that shows the certificate of `identity`, renewed ones too; lazy, reconnects by itself."""
    interceptors: list[Any] = []
    if house.otlp_endpoint:
        from opentelemetry.instrumentation.grpc import aio_client_interceptors

        interceptors = aio_client_interceptors()

    def open_channel(shown: Identity) -> grpc.aio.Channel:
        return grpc.aio.secure_channel(
            house.target(room), tls.caller_credentials(shown), options=_options(room), interceptors=interceptors
        )

    return RenewedChannel(tls.identity_files(house.home / "tls", identity), open_channel)


def _options(room: str) -> list[tuple[str, str | int]]:
    return [
        # Whoever answers must hold the room's own certificate, not just any of the house.
        ("grpc.ssl_target_name_override", room.replace("_", "-")),
        ("grpc.max_receive_message_length", ROOM_RECEIVE_BYTES),
        ("grpc.max_send_message_length", ROOM_RECEIVE_BYTES),
        ("grpc.service_config", SERVICE_CONFIG),
        ("grpc.keepalive_time_ms", 30_000),
        ("grpc.max_reconnect_backoff_ms", 2_000),
        ("grpc.dns_min_time_between_resolutions_ms", 2_000),  # by default 30 s, in which a new replica is not seen
    ]


async def answer(call: Awaitable[Response], room: str) -> Response:
    """Awaits a unary call to `room`; raises what its failure means to our caller."""
    try:
        return await call
    except grpc.aio.AioRpcError as error:
        raise from_rpc_error(error, room) from error


async def answers(call: Any, room: str) -> AsyncGenerator[Any, None]:
    """Yields the responses of a streaming call to `room`; raises what its failure means to our caller.

    Closing the iterator cancels the call.
    """
    try:
        async for response in call:
            yield response
    except grpc.aio.AioRpcError as error:
        raise from_rpc_error(error, room) from error
    finally:
        call.cancel()
