"""The generator's own service in front of an engine elsewhere: what callers meet stays the same."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import grpc
import numpy as np
import pytest
import pytest_asyncio
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_status import rpc_status
from starlette.responses import Response

from portcullis.v1 import checks_pb2, generator_pb2_grpc
from portcullis.v1 import generator_pb2 as pb
from services.core import clearance
from services.core.config import HouseSettings
from services.core.rpc import server as servers
from services.core.rpc import tls
from services.core.rpc.channel import connect
from services.generator.__main__ import build
from tests.integration.images_api import KEY, MODEL, Asked, ImagesApi, draw, serving, until
from tests.integration.test_generator import (
    _MARKED,
    PROMPT,
    UPLOAD,
    _Sync,
    cleared,
    creation,
    edition,
    pixels,
    refusal,
    render,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")
Stub = generator_pb2_grpc.GeneratorServiceStub


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("home")
    tls.create_ca(home / "tls")
    for identity in ("gateway", "generator"):
        tls.issue_certificate(home / "tls", identity)
    clearance.create_keys(home / "keys" / "clearance")
    return home


@pytest.fixture(scope="module")
def engine() -> Iterator[ImagesApi]:
    with serving(ImagesApi()) as api:
        yield api


@pytest.fixture
def api(engine: ImagesApi) -> ImagesApi:
    engine.behave, engine.left = None, 0
    engine.asked.clear()
    return engine


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stub(home: Path, engine: ImagesApi, new_port_base: Callable[[], int]) -> AsyncIterator[Stub]:
    house = HouseSettings(home=home, port_base=new_port_base(), drain_seconds=1)
    stopping = asyncio.Event()
    variables = {
        "METRICS_PORT": "0",
        "REMOTE_URL": engine.url,
        "REMOTE_KEY": KEY,
        "REMOTE_MODEL": MODEL,
        "REMOTE_VERSION": "r1",
        "REMOTE_SIZES": "[128, 64]",
        "REMOTE_OPERATIONS": '["create", "edit"]',
    }
    with pytest.MonkeyPatch.context() as environment:
        for name, value in variables.items():
            environment.setenv(f"PORTCULLIS_GENERATOR_{name}", value)
        task = asyncio.create_task(servers.serve("generator", build, house, stopping))
        async with connect(house, "gateway", "generator") as channel:
            await _serving(channel)
            yield Stub(channel)
        stopping.set()
        await task


async def _serving(channel: grpc.aio.Channel) -> None:
    health = health_pb2_grpc.HealthStub(channel)
    async with asyncio.timeout(30):
        status = None
        while status != health_pb2.HealthCheckResponse.SERVING:
            said = await health.Check(health_pb2.HealthCheckRequest(), timeout=30, wait_for_ready=True)
            status = said.status
            await asyncio.sleep(0.05)


async def test_a_cleared_prompt_becomes_the_engines_pictures(stub: Stub, home: Path, api: ImagesApi) -> None:
    images = [event.image for event in await render(stub, creation(home)) if event.HasField("image")]
    drawn = {asked.seed: np.asarray(draw(asked)) for asked in api.asked}
    assert [(image.index, image.seed, image.model.name) for image in images] == [(0, 11, MODEL), (1, 12, MODEL)]
    assert all(np.array_equal(pixels(image.image), drawn[image.seed]) for image in images)


async def test_a_size_that_is_offered_may_be_chosen(stub: Stub, home: Path, api: ImagesApi) -> None:
    events = await render(stub, creation(home, size=64))
    assert pixels(events[-1].image.image).shape == (64, 64, 3)


async def test_an_edit_leaves_the_rest_bit_exact(stub: Stub, home: Path, api: ImagesApi) -> None:
    edited = pixels((await render(stub, edition(home)))[-1].image.image)
    kept = _MARKED == 0
    assert np.array_equal(edited[kept], pixels(UPLOAD)[kept])


async def test_without_a_clearance_the_engine_is_asked_nothing(stub: Stub, home: Path, api: ImagesApi) -> None:
    code, reason = await refusal(render(stub, creation(home, clearances=[])))
    assert (code, reason, api.asked) == (grpc.StatusCode.PERMISSION_DENIED, "CLEARANCE_MISSING", [])


async def test_an_operation_that_is_not_offered_is_refused(stub: Stub, home: Path, api: ImagesApi) -> None:
    token = cleared(home, "upload", image=UPLOAD)
    request = creation(
        home, operation=checks_pb2.OPERATION_VARIATION, prompt="", image=UPLOAD, count=1, clearances=[token]
    )
    assert await refusal(render(stub, request)) == (grpc.StatusCode.INVALID_ARGUMENT, "operation")


async def test_capabilities_are_those_of_the_settings(stub: Stub) -> None:
    said = await stub.GetCapabilities(pb.GetCapabilitiesRequest(), timeout=5)
    assert (said.model.name, said.model.version, list(said.sizes)) == (MODEL, "r1", [128, 64])
    assert list(said.operations) == [checks_pb2.OPERATION_CREATE, checks_pb2.OPERATION_EDIT]


async def test_leaving_the_call_leaves_the_engine(stub: Stub, home: Path, api: ImagesApi) -> None:
    async def hang(_asked: Asked) -> Response:
        await asyncio.sleep(60)
        return Response()

    api.behave = hang
    call = stub.Generate(creation(home), timeout=60)
    await asyncio.to_thread(until, lambda: len(api.asked) == 2)
    call.cancel()
    await asyncio.to_thread(until, lambda: api.left == 2)


async def test_a_busy_engine_is_told_with_its_hint(stub: Stub, home: Path, api: ImagesApi) -> None:
    async def busy(_asked: Asked) -> Response:
        return Response(status_code=429, headers={"retry-after": "7"})

    api.behave = busy
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await render(stub, creation(home, prompt=PROMPT))
    assert caught.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    status = rpc_status.from_call(_Sync(caught.value))
    retry = error_details_pb2.RetryInfo()
    assert any(detail.Unpack(retry) for detail in status.details)
    assert retry.retry_delay.seconds == 7
