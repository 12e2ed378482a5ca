"""Calls from one room to another: mTLS, the other side's name checked, balanced over its replicas."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Awaitable
from typing import Any, TypeVar

import grpc

from services.core.config import HouseSettings
from services.core.rpc import tls
from services.core.rpc.server import ROOM_RECEIVE_BYTES
from services.core.rpc.status import from_rpc_error

Response = TypeVar("Response")
SERVICE_CONFIG = json.dumps({"loadBalancingConfig": [{"round_robin": {}}]})


def connect(house: HouseSettings, identity: str, room: str) -> grpc.aio.Channel:
    """A channel to `room` that shows the certificate of `identity`; lazy, reconnects by itself."""
    interceptors: list[Any] = []
    if house.otlp_endpoint:
        from opentelemetry.instrumentation.grpc import aio_client_interceptors

        interceptors = aio_client_interceptors()
    return grpc.aio.secure_channel(
        house.target(room),
        tls.channel_credentials(house.home / "tls", identity),
        options=[
            # Whoever answers must hold the room's own certificate, not just any of the house.
            ("grpc.ssl_target_name_override", room.replace("_", "-")),
            ("grpc.max_receive_message_length", ROOM_RECEIVE_BYTES),
            ("grpc.max_send_message_length", ROOM_RECEIVE_BYTES),
            ("grpc.service_config", SERVICE_CONFIG),
            ("grpc.keepalive_time_ms", 30_000),
            ("grpc.max_reconnect_backoff_ms", 2_000),
        ],
        interceptors=interceptors,
    )


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
