"""Starts a service: settings, identity, door, health, metrics; drains and closes it on SIGTERM.

A server cannot be built without TLS and without naming who may call each method, and it is not serving until its own
readiness check has said otherwise.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

import grpc
import structlog
from google.protobuf import descriptor_pool
from grpc_health.v1 import health_pb2_grpc
from grpc_health.v1.health import SERVICE_NAME as HEALTH_SERVICE
from grpc_reflection.v1alpha import reflection

from services.core import telemetry
from services.core.config import METRICS_OFFSET, HouseSettings, RoomSettings
from services.core.errors import ConfigurationError
from services.core.process import process
from services.core.rpc import tls
from services.core.rpc.door import MAX_DEADLINE_SECONDS, Door, Interceptor, KeyCheck
from services.core.rpc.health import Health, probed

ROOM_RECEIVE_BYTES = 256 * 2**20  # several sanitised pictures, each of up to 13 MB
# A connection is given up after so long, once its calls have ended: whoever comes again looks up where we are, and so
# finds new replicas, and does so with the certificates of the day.
CONNECTION_SECONDS = 300.0

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class App:
    """A service ready to be served.

    `service` is the full proto name; `callers` names for every method the identities ("gateway") or kinds of identity
    ("analyst") that may call it; `background` runs for the life of the service and its failure ends it; `ready` raises
    PortcullisError while the service must not be used; `drain` is called as a stop begins, to end streams without end.
    With `check_key` callers show an API key, not a certificate.
    """

    service: str
    register: Callable[[grpc.aio.Server], None]
    callers: Mapping[str, frozenset[str]]
    settings: RoomSettings
    background: Sequence[Callable[[], Awaitable[None]]] = ()
    ready: Callable[[], Awaitable[None]] | None = None
    drain: Callable[[], None] | None = None
    close: Callable[[], Awaitable[None]] | None = None
    check_key: KeyCheck | None = None
    receive_bytes: int = ROOM_RECEIVE_BYTES


Build = Callable[[HouseSettings], Awaitable[App]]


def run(name: str, build: Build) -> None:
    """Runs the service `name` (its certificate's identity) until SIGTERM or Ctrl-C; exits as `process` says."""
    with process(name) as house:
        asyncio.run(_until_signalled(name, build, house))


async def _until_signalled(name: str, build: Build, house: HouseSettings) -> None:
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    await serve(name, build, house, stopping)


async def serve(name: str, build: Build, house: HouseSettings, stopping: asyncio.Event) -> None:
    """Builds and serves until `stopping`, then drains; raises what ended a background task."""
    app = await build(house)
    _check_table(app)
    health = Health([app.service], app.ready)
    server = _server(name, app, house, health)
    await health.begin()
    await server.start()
    metrics_port = _metrics_port(name, app, house)
    log.info("listening", port=house.port(name), metrics=telemetry.serve_metrics(house.bind, metrics_port))
    try:
        async with probed(house, health), asyncio.TaskGroup() as tasks:
            running = [tasks.create_task(_forever(work)) for work in app.background]
            running.append(tasks.create_task(health.report()))
            await stopping.wait()
            log.info("draining", seconds=house.drain_seconds)
            await health.drain()
            if app.drain is not None:
                app.drain()
            await server.stop(house.drain_seconds)
            for task in running:
                task.cancel()
    finally:
        await server.stop(0)
        if app.close is not None:
            await app.close()
    log.info("stopped")


def _server(name: str, app: App, house: HouseSettings, health: Health) -> grpc.aio.Server:
    interceptors: list[Interceptor] = [Door(app.service, app.callers, app.settings.max_concurrent, app.check_key)]
    if house.otlp_endpoint:
        from opentelemetry.instrumentation.grpc import aio_server_interceptor

        telemetry.configure_tracing(name, house.otlp_endpoint)
        interceptors.insert(0, aio_server_interceptor())
    server = grpc.aio.server(
        interceptors=interceptors,
        options=[
            ("grpc.max_receive_message_length", app.receive_bytes),
            ("grpc.max_send_message_length", ROOM_RECEIVE_BYTES),
            ("grpc.so_reuseport", 0),  # so that a port in use is an error
            # Below what `channel.connect` sends, or gRPC ends a long rendering's connection for too many pings.
            ("grpc.http2.min_recv_ping_interval_without_data_ms", 20_000),
            ("grpc.max_connection_age_ms", int(CONNECTION_SECONDS * 1000)),  # give or take a tenth, by gRPC itself
            ("grpc.max_connection_age_grace_ms", int(MAX_DEADLINE_SECONDS * 1000) + 10_000),  # no call is cut
        ],
    )
    app.register(server)
    health_pb2_grpc.add_HealthServicer_to_server(health.servicer, server)
    if house.reflection:
        told = [app.service, HEALTH_SERVICE, reflection.SERVICE_NAME]
        reflection.enable_server_reflection(told, server, descriptor_pool.Default())
    credentials = tls.server_credentials(house.home / "tls", name, require_client=app.check_key is None)
    address = f"{house.bind}:{house.port(name)}"
    try:
        server.add_secure_port(address, credentials)
    except RuntimeError as error:
        raise ConfigurationError(
            f"{address} cannot be listened on: another program uses it; stop that or set PORTCULLIS_PORT_BASE",
            reason="PORT_IN_USE",
        ) from error
    return server


def _metrics_port(name: str, app: App, house: HouseSettings) -> int:
    chosen = app.settings.metrics_port
    return house.port(name) + METRICS_OFFSET if chosen is None else chosen


def _check_table(app: App) -> None:
    methods = {method.name for method in descriptor_pool.Default().FindServiceByName(app.service).methods}
    if methods != set(app.callers):
        raise ConfigurationError(f"the table of callers of {app.service} must name {sorted(methods)}")


async def _forever(work: Callable[[], Awaitable[None]]) -> None:
    await work()
    raise RuntimeError("a task that must run for the life of the service has ended")
