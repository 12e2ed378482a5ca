"""Whether a part of the house may be used: rooms by gRPC health, errands by their metrics, Postgres by a query."""

from __future__ import annotations

import asyncio

import grpc
import psycopg
from grpc_health.v1 import health_pb2, health_pb2_grpc

from services.core.config import HouseSettings
from services.core.rpc import tls
from services.review.console.settings import METRICS_OFFSET as CONSOLE_METRICS_OFFSET
from services.review.console.settings import ConsoleSettings
from services.review.settings import ReviewSettings

PROBE_SECONDS = 2.0
# Where the errands' /metrics are, counted from PORTCULLIS_PORT_BASE, unless a setting says otherwise.
ERRAND_OFFSETS = {
    "review_worker": 107,
    "review_relay": 108,
    "review_notifier": 109,
    "review_console": CONSOLE_METRICS_OFFSET,
}


async def is_serving(house: HouseSettings, room: str) -> bool:
    """Asks the room's health service over mTLS, as the room itself; False while it does not answer."""
    folder = house.home / "tls"
    options = [("grpc.ssl_target_name_override", room.replace("_", "-"))]
    credentials = tls.channel_credentials(folder, room)
    async with grpc.aio.secure_channel(house.target(room), credentials, options) as channel:
        try:
            answer = await health_pb2_grpc.HealthStub(channel).Check(
                health_pb2.HealthCheckRequest(), timeout=PROBE_SECONDS
            )
        except grpc.aio.AioRpcError:
            return False
    return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


async def database_answers(house: HouseSettings) -> bool:
    """Whether the house's Postgres accepts a connection."""
    if not (dsn := house.database()):
        return False
    try:
        async with await psycopg.AsyncConnection.connect(dsn, connect_timeout=int(PROBE_SECONDS)) as connection:
            await connection.execute("SELECT 1")
    except psycopg.OperationalError:
        return False
    return True


async def errand_works(house: HouseSettings, errand: str) -> bool:
    """Whether the errand serves its metrics, which it does once its own start succeeded."""
    try:
        async with asyncio.timeout(PROBE_SECONDS):
            _, writer = await asyncio.open_connection(house.bind, errand_port(house, errand))
    except (OSError, TimeoutError):
        return False
    writer.close()
    return True


def errand_port(house: HouseSettings, errand: str) -> int:
    """The port of an errand's /metrics."""
    settings = ReviewSettings()
    chosen = {
        "review_worker": settings.worker_metrics_port,
        "review_relay": settings.relay_metrics_port,
        "review_notifier": settings.notifier_metrics_port,
        "review_console": ConsoleSettings().metrics_port,
    }[errand]
    return house.port_base + ERRAND_OFFSETS[errand] if chosen is None else chosen
