"""Whether a process may be used, and whether its loop turns: for callers and for whoever looks after processes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

import grpc
import structlog
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1._async import HealthServicer

from services.core.config import HouseSettings
from services.core.errors import ConfigurationError, PortcullisError

READY_EVERY_SECONDS = 1.0
READY_TIMEOUT_SECONDS = 5.0
# The name under which health says SERVING as long as the loop turns: what a restart would mend, and nothing else.
ALIVE = "alive"
SERVING, NOT_SERVING = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING

Ready = Callable[[], Awaitable[None]]

log = structlog.get_logger()


class Health:
    """The health service of one process: "" and `names` say whether it may be used, `ALIVE` that it lives."""

    def __init__(self, names: Sequence[str], ready: Ready | None) -> None:
        """`ready` raises PortcullisError while the process must not be used."""
        self.servicer = HealthServicer()
        self._names = ("", *names)
        self._ready = ready

    async def begin(self) -> None:
        """Not serving until proven ready: the library begins with SERVING."""
        await self._set(NOT_SERVING)
        await self.servicer.set(ALIVE, SERVING)

    async def report(self) -> None:
        """Looks once a second, for ever."""
        last: health_pb2.HealthCheckResponse.ServingStatus.ValueType | None = None
        while True:
            why = await self._lacking()
            status = NOT_SERVING if why else SERVING
            if status != last:
                log.info("readiness", serving=not why, why=why or "all is there")
            last = status
            await self._set(status)
            await asyncio.sleep(READY_EVERY_SECONDS)

    async def drain(self) -> None:
        """Says NOT_SERVING from now on, whatever is reported; of `ALIVE` too, for it is to end."""
        await self.servicer.enter_graceful_shutdown()

    async def _set(self, status: health_pb2.HealthCheckResponse.ServingStatus.ValueType) -> None:
        for name in self._names:
            await self.servicer.set(name, status)

    async def _lacking(self) -> str:
        """What the process lacks to be used; empty where it is ready."""
        try:
            async with asyncio.timeout(READY_TIMEOUT_SECONDS):
                if self._ready is not None:
                    await self._ready()
        except (PortcullisError, TimeoutError) as error:
            return str(error) or "the readiness check timed out"
        return ""


@asynccontextmanager
async def probed(house: HouseSettings, health: Health) -> AsyncIterator[None]:
    """Lets an orchestrator ask meanwhile, on PORTCULLIS_PROBE_PORT if that is set.

    Plain gRPC, because kubelet's probes speak no TLS; nothing but health is served there, one word an answer. Raises
    ConfigurationError where another program uses the port.
    """
    if house.probe_port is None:
        yield
        return
    server = grpc.aio.server(options=[("grpc.so_reuseport", 0), ("grpc.max_receive_message_length", 1024)])
    health_pb2_grpc.add_HealthServicer_to_server(health.servicer, server)
    address = f"{house.bind}:{house.probe_port}"
    try:
        server.add_insecure_port(address)
    except RuntimeError as error:
        raise ConfigurationError(
            f"{address} cannot be listened on: another program uses it; set PORTCULLIS_PROBE_PORT to a free one, or"
            " leave it empty where several processes share a machine",
            reason="PORT_IN_USE",
        ) from error
    await server.start()
    try:
        yield
    finally:
        await server.stop(None)


@asynccontextmanager
async def watched(house: HouseSettings, ready: Ready) -> AsyncIterator[None]:
    """For a process that serves no gRPC of its own: reports its readiness to the probes, where there are any."""
    health = Health((), ready)
    await health.begin()
    async with probed(house, health):
        reporting = asyncio.create_task(health.report())
        try:
            yield
        finally:
            await health.drain()
            reporting.cancel()
