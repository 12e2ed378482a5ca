"""The door of every server, over real sockets and real TLS."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import pytest
from google.rpc import status_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from portcullis.v1 import generator_pb2 as pb
from portcullis.v1 import generator_pb2_grpc as stubs
from services.core.config import HouseSettings, RoomSettings
from services.core.errors import (
    ConfigurationError,
    Exhausted,
    InvalidInput,
    NotFound,
    PortcullisError,
    QuotaViolation,
    Unauthenticated,
    Unavailable,
)
from services.core.rpc import door, probes, tls
from services.core.rpc import server as servers
from services.core.rpc.channel import connect
from services.core.rpc.door import Context, KeyCheck, current_caller
from services.core.rpc.server import App

Behaviour = Callable[[Context], Awaitable[None]]
CALLERS = {
    "Generate": frozenset({"gateway"}),
    "GetCapabilities": frozenset({"gateway"}),
    "GetLoad": frozenset({"gateway", "tenant"}),
}


class Echo(stubs.GeneratorServiceServicer):
    """Answers GetLoad after doing what the test asks."""

    def __init__(self, behaviour: Behaviour) -> None:
        self.behaviour = behaviour
        self.seen: list[str] = []

    async def GetLoad(self, request: pb.GetLoadRequest, context: Context) -> pb.GetLoadResponse:
        self.seen.append(current_caller().identity)
        await self.behaviour(context)
        return pb.GetLoadResponse(queue_limit=7)


async def nothing(_context: Context) -> None:
    return


@pytest.fixture
def house(tmp_path: Path, new_port_base: Callable[[], int]) -> HouseSettings:
    tls.create_ca(tmp_path / "tls")
    for identity in ("generator", "gateway", "review"):
        tls.issue_certificate(tmp_path / "tls", identity)
    return HouseSettings(home=tmp_path, port_base=new_port_base(), drain_seconds=1)


@asynccontextmanager
async def serving(
    house: HouseSettings, echo: Echo, *, max_concurrent: int = 8, check_key: KeyCheck | None = None
) -> AsyncIterator[None]:
    async def build(_house: HouseSettings) -> App:
        return App(
            service="portcullis.v1.GeneratorService",
            register=lambda server: stubs.add_GeneratorServiceServicer_to_server(echo, server),
            callers=CALLERS,
            settings=RoomSettings(metrics_port=0, max_concurrent=max_concurrent),
            check_key=check_key,
        )

    stopping = asyncio.Event()
    task = asyncio.create_task(servers.serve("generator", build, house, stopping))
    yield
    stopping.set()
    await task


async def call(
    house: HouseSettings,
    identity: str = "gateway",
    *,
    timeout: float | None = 5,
    metadata: tuple[tuple[str, str], ...] = (),
) -> pb.GetLoadResponse:
    async with connect(house, identity, "generator") as channel:
        return await stubs.GeneratorServiceStub(channel).GetLoad(
            pb.GetLoadRequest(), timeout=timeout, metadata=metadata, wait_for_ready=True
        )


def details_of(error: grpc.aio.AioRpcError) -> list[str]:
    """The types of the error's details."""
    trailers = dict(error.trailing_metadata() or ())
    status = status_pb2.Status.FromString(trailers["grpc-status-details-bin"])
    return [detail.type_url.rpartition(".")[2] for detail in status.details]


async def refused(awaitable: Awaitable[object]) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await awaitable
    return caught.value


async def test_a_named_caller_gets_in_and_is_known_by_its_certificate(house: HouseSettings) -> None:
    echo = Echo(nothing)
    async with serving(house, echo):
        response = await call(house)
    assert (response.queue_limit, echo.seen) == (7, ["gateway"])


async def test_another_service_is_refused(house: HouseSettings) -> None:
    echo = Echo(nothing)
    async with serving(house, echo):
        error = await refused(call(house, "review"))
    assert (error.code(), echo.seen) == (grpc.StatusCode.PERMISSION_DENIED, [])


async def test_a_caller_without_a_certificate_does_not_get_past_the_handshake(house: HouseSettings) -> None:
    echo = Echo(nothing)
    ca = (house.home / "tls" / "ca.pem").read_bytes()
    async with serving(house, echo):
        await call(house)  # the server is up
        async with grpc.aio.secure_channel(house.target("generator"), grpc.ssl_channel_credentials(ca)) as channel:
            error = await refused(stubs.GeneratorServiceStub(channel).GetLoad(pb.GetLoadRequest(), timeout=5))
    assert (error.code(), echo.seen) == (grpc.StatusCode.UNAVAILABLE, ["gateway"])


async def test_a_certificate_of_another_authority_does_not_get_past_the_handshake(
    house: HouseSettings, tmp_path: Path
) -> None:
    stranger = tmp_path / "stranger"
    tls.create_ca(stranger)
    tls.issue_certificate(stranger, "gateway")
    (stranger / "ca.pem").write_bytes((house.home / "tls" / "ca.pem").read_bytes())
    credentials = tls.channel_credentials(stranger, "gateway")
    echo = Echo(nothing)
    async with serving(house, echo):
        await call(house)  # the server is up
        async with grpc.aio.secure_channel(house.target("generator"), credentials) as channel:
            error = await refused(stubs.GeneratorServiceStub(channel).GetLoad(pb.GetLoadRequest(), timeout=5))
    assert (error.code(), echo.seen) == (grpc.StatusCode.UNAVAILABLE, ["gateway"])


async def test_a_server_that_is_another_room_is_not_spoken_to(house: HouseSettings) -> None:
    async with serving(house, Echo(nothing)):
        await call(house)  # the server is up
        elsewhere = house.model_copy(update={"hosts": {"review": house.target("generator")}})
        async with connect(elsewhere, "gateway", "review") as channel:
            error = await refused(stubs.GeneratorServiceStub(channel).GetLoad(pb.GetLoadRequest(), timeout=5))
    assert error.code() is grpc.StatusCode.UNAVAILABLE


async def test_a_call_without_a_deadline_is_refused(house: HouseSettings) -> None:
    async with serving(house, Echo(nothing)):
        error = await refused(call(house, timeout=None))
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "BadRequest" in details_of(error)


async def test_a_longer_deadline_than_ours_ends_at_ours(house: HouseSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door, "MAX_DEADLINE_SECONDS", 0.3)

    async def slow(_context: Context) -> None:
        await asyncio.sleep(30)

    async with serving(house, Echo(slow)):
        error = await refused(call(house, timeout=20))
    assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED


async def test_work_is_cancelled_at_the_deadline(house: HouseSettings) -> None:
    ended = asyncio.Event()

    async def slow(_context: Context) -> None:
        try:
            await asyncio.sleep(30)
        finally:
            ended.set()

    async with serving(house, Echo(slow)):
        error = await refused(call(house, timeout=2))
        await asyncio.wait_for(ended.wait(), 2)
    assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED


@pytest.mark.parametrize(
    ("raised", "code", "detail"),
    [
        (InvalidInput("prompt", "is empty"), grpc.StatusCode.INVALID_ARGUMENT, "BadRequest"),
        (Exhausted("full", retry_after=3), grpc.StatusCode.RESOURCE_EXHAUSTED, "RetryInfo"),
        (Unavailable("the store is away"), grpc.StatusCode.UNAVAILABLE, "RetryInfo"),
        (NotFound("no such decision"), grpc.StatusCode.NOT_FOUND, "ErrorInfo"),
    ],
)
async def test_our_errors_become_statuses_with_details(
    house: HouseSettings, raised: PortcullisError, code: grpc.StatusCode, detail: str
) -> None:
    async def fail(_context: Context) -> None:
        raise raised

    async with serving(house, Echo(fail)):
        error = await refused(call(house))
    assert error.code() is code
    assert detail in details_of(error)


async def test_an_unexpected_error_tells_nothing_of_what_was_inside(house: HouseSettings) -> None:
    async def fail(_context: Context) -> None:
        raise ValueError("the prompt said: secret")

    async with serving(house, Echo(fail)):
        error = await refused(call(house))
    assert error.code() is grpc.StatusCode.INTERNAL
    assert "secret" not in str(error)


async def test_more_calls_than_allowed_are_refused_with_a_retry_hint(house: HouseSettings) -> None:
    entered, leave = asyncio.Event(), asyncio.Event()

    async def wait(_context: Context) -> None:
        entered.set()
        await leave.wait()

    async with serving(house, Echo(wait), max_concurrent=1):
        first = asyncio.create_task(call(house))
        await entered.wait()
        error = await refused(call(house))
        leave.set()
        await first
    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "RetryInfo" in details_of(error)


async def check_key(key: str) -> str:
    if key != "pk_right":
        raise Unauthenticated("unknown key", reason="API_KEY_INVALID")
    return "tenant/acme"


@pytest.mark.parametrize(
    ("metadata", "code"),
    [
        ((), grpc.StatusCode.UNAUTHENTICATED),
        ((("authorization", "Bearer pk_wrong"),), grpc.StatusCode.UNAUTHENTICATED),
        ((("authorization", "pk_right"),), grpc.StatusCode.UNAUTHENTICATED),
    ],
)
async def test_the_key_door_refuses_without_the_right_key(
    house: HouseSettings, metadata: tuple[tuple[str, str], ...], code: grpc.StatusCode
) -> None:
    async with serving(house, Echo(nothing), check_key=check_key):
        error = await refused(call(house, metadata=metadata))
    assert error.code() is code


async def test_the_key_says_who_calls_even_where_a_certificate_is_shown(house: HouseSettings) -> None:
    echo = Echo(nothing)
    async with serving(house, echo, check_key=check_key):
        await call(house, metadata=(("authorization", "Bearer pk_right"),))
    assert echo.seen == ["tenant/acme"]


async def test_a_port_in_use_is_said(house: HouseSettings) -> None:
    async with serving(house, Echo(nothing)):
        await call(house)  # the server is up
        with pytest.raises(ConfigurationError, match="another program uses it"):
            async with serving(house, Echo(nothing)):
                await asyncio.sleep(0.5)


async def test_a_server_cannot_be_built_with_a_method_that_names_no_callers(house: HouseSettings) -> None:
    async def build(_house: HouseSettings) -> App:
        return App("portcullis.v1.GeneratorService", lambda _server: None, {}, RoomSettings())

    with pytest.raises(ConfigurationError, match="must name"):
        await servers.serve("generator", build, house, asyncio.Event())


async def test_a_background_task_that_ends_ends_the_service(house: HouseSettings) -> None:
    async def work() -> None:
        return

    async def build(_house: HouseSettings) -> App:
        return App(
            service="portcullis.v1.GeneratorService",
            register=lambda server: stubs.add_GeneratorServiceServicer_to_server(Echo(nothing), server),
            callers=CALLERS,
            settings=RoomSettings(metrics_port=0),
            background=[work],
        )

    with pytest.raises(ExceptionGroup) as caught:
        await servers.serve("generator", build, house, asyncio.Event())
    assert caught.group_contains(RuntimeError, match="for the life of the service")


async def test_who_is_over_a_limit_is_told_which_and_how_it_stands(house: HouseSettings) -> None:
    violation = QuotaViolation("account:user-1", "account-calls: 600 calls in 60 s")

    async def over(_context: Context) -> None:
        raise Exhausted("over it", reason="LIMIT", retry_after=1.2, violations=[violation], limit=600)

    async with serving(house, Echo(over)):
        error = await refused(call(house))

    trailers = dict(error.trailing_metadata() or ())
    status = status_pb2.Status.FromString(trailers["grpc-status-details-bin"])
    quota = next(detail for detail in status.details if detail.type_url.endswith("QuotaFailure"))
    assert b"account:user-1" in quota.value
    assert {name: trailers[name] for name in trailers if name.startswith("ratelimit")} == {
        "ratelimit-limit": "600",
        "ratelimit-remaining": "0",
        "ratelimit-reset": "2",
    }


async def test_who_passes_is_told_how_it_stands(house: HouseSettings) -> None:
    async def near(_context: Context) -> None:
        door.tell_limit(600, 12, 3.4)

    async with serving(house, Echo(near)), connect(house, "gateway", "generator") as channel:
        running = stubs.GeneratorServiceStub(channel).GetLoad(pb.GetLoadRequest(), timeout=5, wait_for_ready=True)
        await running
        trailers = dict(await running.trailing_metadata())

    assert (trailers["ratelimit-limit"], trailers["ratelimit-remaining"], trailers["ratelimit-reset"]) == (
        "600",
        "12",
        "4",
    )


def reflecting(channel: grpc.aio.Channel, **how: object) -> grpc.aio.StreamStreamCall:
    request = reflection_pb2.ServerReflectionRequest(list_services="")
    return reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo(iter([request]), timeout=5, **how)


async def test_the_contract_is_not_told_unless_it_is_switched_on(house: HouseSettings) -> None:
    async with serving(house, Echo(nothing)), connect(house, "gateway", "generator") as channel:
        await call(house)  # the server is up
        error = await refused(anext(aiter(reflecting(channel))))
    assert error.code() == grpc.StatusCode.UNIMPLEMENTED


async def test_switched_on_it_is_told_to_who_has_a_key(house: HouseSettings) -> None:
    async def check(key: str) -> str:
        if key != "right":
            raise Unauthenticated("this API key is not valid", reason="API_KEY_INVALID")
        return "tenant/acme"

    told = house.model_copy(update={"reflection": True})
    async with serving(told, Echo(nothing), check_key=check), connect(house, "gateway", "generator") as channel:
        await call(house, metadata=(("authorization", "Bearer right"),))  # the server is up
        error = await refused(anext(aiter(reflecting(channel))))
        metadata = (("authorization", "Bearer right"),)
        answer = await anext(aiter(reflecting(channel, metadata=metadata)))
    assert error.code() == grpc.StatusCode.UNAUTHENTICATED
    names = {service.name for service in answer.list_services_response.service}
    assert "portcullis.v1.GeneratorService" in names


async def test_health_is_told_to_anyone_but_not_without_end(house: HouseSettings) -> None:
    async def ask() -> grpc.StatusCode:
        try:
            await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=5)
        except grpc.aio.AioRpcError as error:
            return error.code()
        return grpc.StatusCode.OK

    async with serving(house, Echo(nothing)), connect(house, "gateway", "generator") as channel:
        await call(house)  # the server is up
        flood = [await ask() for _ in range(60)]
        served = await call(house)
        await asyncio.sleep(0.3)
        later = await ask()
    assert flood[:10] == [grpc.StatusCode.OK] * 10
    assert flood[-1] == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert (served.queue_limit, later) == (7, grpc.StatusCode.OK), "calls go on, and so does health"


async def test_only_so_many_may_watch_health_from_one_address(
    house: HouseSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probes, "STREAMS", 2)
    async with serving(house, Echo(nothing)), connect(house, "gateway", "generator") as channel:
        await call(house)  # the server is up
        stub = health_pb2_grpc.HealthStub(channel)
        watching = [stub.Watch(health_pb2.HealthCheckRequest(), timeout=5) for _ in range(2)]
        told = [(await anext(aiter(stream))).status for stream in watching]
        error = await refused(anext(aiter(stub.Watch(health_pb2.HealthCheckRequest(), timeout=5))))
        for stream in watching:
            stream.cancel()
    assert told == [health_pb2.HealthCheckResponse.SERVING] * 2
    assert error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
