"""What an orchestrator asks, over real sockets: may this process be used, and does its loop turn."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from portcullis.v1 import generator_pb2 as pb
from portcullis.v1 import generator_pb2_grpc as stubs
from services.core.config import HouseSettings, RoomSettings
from services.core.errors import ConfigurationError, Unavailable
from services.core.rpc import server as servers
from services.core.rpc import tls
from services.core.rpc.health import ALIVE, Health, probed, watched
from services.core.rpc.server import App

SERVICE = "portcullis.v1.GeneratorService"
GATEWAY = frozenset({"gateway"})
SERVING, NOT_SERVING = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING


async def not_yet() -> None:
    raise Unavailable("Postgres does not answer", reason="DATABASE_UNAVAILABLE")


async def all_there() -> None:
    return


@pytest.fixture
def house(tmp_path: Path, new_port_base: Callable[[], int]) -> HouseSettings:
    tls.create_ca(tmp_path / "tls")
    tls.issue_certificate(tmp_path / "tls", "generator")
    base = new_port_base()
    return HouseSettings(home=tmp_path, port_base=base, probe_port=base + 9, drain_seconds=1)


@asynccontextmanager
async def serving(house: HouseSettings, ready: Callable[..., object]) -> AsyncIterator[grpc.aio.Channel]:
    """A generator that is up, and a channel to its probes."""

    async def build(_house: HouseSettings) -> App:
        return App(
            service=SERVICE,
            register=lambda server: stubs.add_GeneratorServiceServicer_to_server(
                stubs.GeneratorServiceServicer(), server
            ),
            callers={"Generate": GATEWAY, "GetCapabilities": GATEWAY, "GetLoad": GATEWAY},
            settings=RoomSettings(metrics_port=0),
            ready=ready,
        )

    stopping = asyncio.Event()
    task = asyncio.create_task(servers.serve("generator", build, house, stopping))
    async with grpc.aio.insecure_channel(f"127.0.0.1:{house.probe_port}") as channel:
        await asyncio.wait_for(channel.channel_ready(), 5)
        yield channel
    stopping.set()
    await task


async def ask(channel: grpc.aio.Channel, service: str) -> int:
    request = health_pb2.HealthCheckRequest(service=service)
    return (await health_pb2_grpc.HealthStub(channel).Check(request, timeout=2)).status


async def settled(channel: grpc.aio.Channel, service: str, wanted: int) -> bool:
    async with asyncio.timeout(5):
        async for answer in health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest(service=service)):
            if answer.status == wanted:
                return True
    return False


async def test_a_process_that_is_ready_says_so_under_its_own_name_and_none(house: HouseSettings) -> None:
    async with serving(house, all_there) as channel:
        assert await settled(channel, "", SERVING)
        assert await settled(channel, SERVICE, SERVING)


async def test_a_process_without_its_store_is_not_ready_and_yet_alive(house: HouseSettings) -> None:
    async with serving(house, not_yet) as channel:
        await asyncio.sleep(0.1)
        assert [await ask(channel, name) for name in ("", SERVICE, ALIVE)] == [NOT_SERVING, NOT_SERVING, SERVING]


async def test_a_process_whose_loop_is_stuck_does_not_say_that_it_lives(house: HouseSettings) -> None:
    answers: list[grpc.StatusCode] = []

    def ask_from_elsewhere() -> grpc.StatusCode:
        with grpc.insecure_channel(f"127.0.0.1:{house.probe_port}") as channel:
            request = health_pb2.HealthCheckRequest(service=ALIVE)
            with pytest.raises(grpc.RpcError) as caught:
                health_pb2_grpc.HealthStub(channel).Check(request, timeout=0.5)
            return caught.value.code()

    async def stuck() -> None:
        with ThreadPoolExecutor() as pool:  # and the loop waits, without turning, until the other has his answer
            answers.append(pool.submit(ask_from_elsewhere).result())

    async with serving(house, stuck):
        await asyncio.sleep(0.1)
    assert set(answers) == {grpc.StatusCode.DEADLINE_EXCEEDED}


async def test_nothing_but_health_is_served_without_tls(house: HouseSettings) -> None:
    async with serving(house, all_there) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as called:
            await stubs.GeneratorServiceStub(channel).GetLoad(pb.GetLoadRequest(), timeout=2)
        reflected = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo(
            iter([reflection_pb2.ServerReflectionRequest(list_services="")]), timeout=2
        )
        with pytest.raises(grpc.aio.AioRpcError) as listed:
            await reflected.read()
    assert {called.value.code(), listed.value.code()} == {grpc.StatusCode.UNIMPLEMENTED}


async def test_without_a_port_for_probes_none_is_opened(house: HouseSettings) -> None:
    async with probed(house.model_copy(update={"probe_port": None}), Health((), all_there)):
        with pytest.raises(OSError, match="Connect call failed"):
            await asyncio.open_connection("127.0.0.1", house.probe_port)


async def test_a_port_in_use_is_told(house: HouseSettings) -> None:
    async with probed(house, Health((), all_there)):
        with pytest.raises(ConfigurationError, match="PORTCULLIS_PROBE_PORT"):
            async with probed(house, Health((), all_there)):
                pass


async def test_a_process_without_a_service_of_its_own_can_be_asked_too(house: HouseSettings) -> None:
    async with watched(house, not_yet), grpc.aio.insecure_channel(f"127.0.0.1:{house.probe_port}") as channel:
        assert await ask(channel, ALIVE) == SERVING
        assert await ask(channel, "") == NOT_SERVING


async def test_a_process_that_drains_is_not_ready_any_more(house: HouseSettings) -> None:
    health = Health((), all_there)
    await health.begin()
    reporting = asyncio.create_task(health.report())
    async with probed(house, health), grpc.aio.insecure_channel(f"127.0.0.1:{house.probe_port}") as channel:
        assert await settled(channel, "", SERVING)
        await health.drain()
        assert await ask(channel, "") == NOT_SERVING
    reporting.cancel()
