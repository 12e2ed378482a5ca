"""Traces reach an OpenTelemetry collector where one is configured: real OTLP over a real socket."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from prometheus_client import REGISTRY
from prometheus_client.openmetrics.exposition import generate_latest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from portcullis.v1 import generator_pb2 as pb
from portcullis.v1 import generator_pb2_grpc as stubs
from services.core import telemetry
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


async def call(tmp_path: Path, port: int, endpoint: str) -> None:
    """Asks a generator for its load, once."""
    tls.create_ca(tmp_path / "tls")
    for identity in ("generator", "gateway"):
        tls.issue_certificate(tmp_path / "tls", identity)
    house = HouseSettings(home=tmp_path, port_base=min(port, 60_000), drain_seconds=1, otlp_endpoint=endpoint)

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


def exemplars() -> list[str]:
    """The traces that the buckets of GetLoad's latency name, as Prometheus reads them."""
    return [
        sample.exemplar.labels["trace_id"]
        for family in text_string_to_metric_families(generate_latest(REGISTRY).decode())
        for sample in family.samples
        if sample.name == "portcullis_call_seconds_bucket" and sample.labels["method"] == "GetLoad" and sample.exemplar
    ]


async def test_a_call_is_traced_and_its_latency_names_the_trace(
    tmp_path: Path, collector: Collector, unused_tcp_port: int
) -> None:
    telemetry.CALL_SECONDS.clear()

    await call(tmp_path, unused_tcp_port, collector.endpoint)

    provider = trace.get_tracer_provider()
    assert isinstance(provider, TracerProvider)
    await asyncio.to_thread(provider.force_flush)
    method = "/portcullis.v1.GeneratorService/GetLoad"
    traces = {span.trace_id.hex() for span in collector.spans() if span.name == method}
    assert len(traces) == 1
    assert exemplars() == list(traces)


async def test_without_a_collector_latencies_name_no_trace(tmp_path: Path, unused_tcp_port: int) -> None:
    telemetry.CALL_SECONDS.clear()

    await call(tmp_path, unused_tcp_port, "")

    assert REGISTRY.get_sample_value("portcullis_call_seconds_count", {"method": "GetLoad"}) == 1
    assert exemplars() == []
