"""Traces reach an OpenTelemetry collector where one is configured: real OTLP over a real socket."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

from portcullis.v1 import generator_pb2 as pb
from portcullis.v1 import generator_pb2_grpc as stubs
from services.core.config import HouseSettings, RoomSettings
from services.core.rpc import server as servers
from services.core.rpc import tls
from services.core.rpc.channel import connect
from services.core.rpc.door import Context
from services.core.rpc.server import App
from tests.otlp import Collector, collecting


class Idle(stubs.GeneratorServiceServicer):
    """Has nothing to do."""

    async def GetLoad(self, request: pb.GetLoadRequest, context: Context) -> pb.GetLoadResponse:
        return pb.GetLoadResponse(queue_limit=7)


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as kept:
        yield kept


async def test_a_call_is_traced(tmp_path: Path, collector: Collector, unused_tcp_port: int) -> None:
    tls.create_ca(tmp_path / "tls")
    for identity in ("generator", "gateway"):
        tls.issue_certificate(tmp_path / "tls", identity)
    house = HouseSettings(
        home=tmp_path, port_base=min(unused_tcp_port, 60_000), drain_seconds=1, otlp_endpoint=collector.endpoint
    )

    async def build(_house: HouseSettings) -> App:
        return App(
            service="portcullis.v1.GeneratorService",
            register=lambda server: stubs.add_GeneratorServiceServicer_to_server(Idle(), server),
            callers=dict.fromkeys(("Generate", "GetCapabilities", "GetLoad"), frozenset({"gateway"})),
            settings=RoomSettings(metrics_port=0),
        )

    stopping = asyncio.Event()
    serving = asyncio.create_task(servers.serve("generator", build, house, stopping))
    async with connect(house, "gateway", "generator") as channel:
        await stubs.GeneratorServiceStub(channel).GetLoad(pb.GetLoadRequest(), timeout=10, wait_for_ready=True)
    stopping.set()
    await serving
    provider = trace.get_tracer_provider()
    assert isinstance(provider, TracerProvider)
    await asyncio.to_thread(provider.force_flush)
    assert "/portcullis.v1.GeneratorService/GetLoad" in {span.name for span in collector.spans()}
