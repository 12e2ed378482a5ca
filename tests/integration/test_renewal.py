"""Certificates and replicas that change while servers and callers run, over real sockets and real TLS."""

from __future__ import annotations

import asyncio
import shutil
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from cryptography import x509

from portcullis.v1 import generator_pb2 as pb
from portcullis.v1 import generator_pb2_grpc as stubs
from services.core.config import HouseSettings, RoomSettings
from services.core.rpc import server as servers
from services.core.rpc import tls
from services.core.rpc.channel import connect
from services.core.rpc.door import Context
from services.core.rpc.identity_files import Identity
from services.core.rpc.renewed_channel import RenewedChannel
from services.core.rpc.server import App

GATEWAY = frozenset({"gateway"})
CALLERS = {"Generate": GATEWAY, "GetCapabilities": GATEWAY, "GetLoad": GATEWAY}


class Listener(stubs.GeneratorServiceServicer):
    """Notes which certificate and which connection each call came with; holds GetLoad until `go` is set."""

    def __init__(self) -> None:
        self.serials: list[int] = []
        self.peers: list[str] = []
        self.go = asyncio.Event()
        self.go.set()
        self._came = asyncio.Condition()

    async def has(self, calls: int) -> None:
        """Waits until so many calls have come."""
        async with asyncio.timeout(20), self._came:
            await self._came.wait_for(lambda: len(self.peers) >= calls)

    async def GetLoad(self, request: pb.GetLoadRequest, context: Context) -> pb.GetLoadResponse:
        self.serials.append(x509.load_pem_x509_certificate(context.auth_context()["x509_pem_cert"][0]).serial_number)
        self.peers.append(context.peer())
        async with self._came:
            self._came.notify_all()
        await self.go.wait()
        return pb.GetLoadResponse(queue_limit=7)


@pytest.fixture
def house(tmp_path: Path, new_port_base: Callable[[], int]) -> HouseSettings:
    issue(tmp_path)
    return HouseSettings(home=tmp_path, port_base=new_port_base(), drain_seconds=1)


def issue(home: Path) -> None:
    """New certificates of the CA in `home`, which is made first if there is none."""
    tls.create_ca(home / "tls")
    for identity in ("generator", "gateway"):
        tls.certificate_path(home / "tls", identity).unlink(missing_ok=True)
        tls.issue_certificate(home / "tls", identity)


@asynccontextmanager
async def serving(house: HouseSettings, listener: Listener) -> AsyncIterator[None]:
    async def build(_house: HouseSettings) -> App:
        return App(
            service="portcullis.v1.GeneratorService",
            register=lambda server: stubs.add_GeneratorServiceServicer_to_server(listener, server),
            callers=CALLERS,
            settings=RoomSettings(metrics_port=0, max_concurrent=64),
        )

    stopping = asyncio.Event()
    task = asyncio.create_task(servers.serve("generator", build, house, stopping))
    yield
    stopping.set()
    await task


def load(channel: grpc.aio.Channel) -> Awaitable[pb.GetLoadResponse]:
    return stubs.GeneratorServiceStub(channel).GetLoad(pb.GetLoadRequest(), timeout=5, wait_for_ready=True)


@asynccontextmanager
async def calling(channel: grpc.aio.Channel) -> AsyncIterator[list[int]]:
    """Calls meanwhile without a pause, and as the platform would: one that fails ends the test."""
    answers: list[int] = []

    async def call() -> None:
        stub = stubs.GeneratorServiceStub(channel)
        while True:
            answers.append((await stub.GetLoad(pb.GetLoadRequest(), timeout=5)).queue_limit)

    await load(channel)  # the server is up
    callers = [asyncio.create_task(call()) for _ in range(4)]
    yield answers
    for caller in callers:
        assert not caller.done() or caller.result()
        caller.cancel()


def serial(house: HouseSettings, identity: str) -> int:
    pem = tls.certificate_path(house.home / "tls", identity).read_bytes()
    return x509.load_pem_x509_certificate(pem).serial_number


async def shown_serial(house: HouseSettings) -> int:
    """Of the certificate that the server shows to a new connection."""
    folder = house.home / "tls"
    process = await asyncio.create_subprocess_exec(
        "openssl", "s_client", "-connect", house.target("generator"), "-alpn", "h2",
        "-cert", str(folder / "gateway.pem"), "-key", str(folder / "gateway.key"),
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    output, _ = await process.communicate()
    begin, end = output.index(b"-----BEGIN"), output.index(b"-----END CERTIFICATE-----")
    return x509.load_pem_x509_certificate(output[begin : end + 25]).serial_number


async def test_a_renewed_certificate_is_shown_and_no_call_fails_meanwhile(house: HouseSettings) -> None:
    listener = Listener()
    async with serving(house, listener), connect(house, "gateway", "generator") as channel:
        async with calling(channel) as answers:
            old = serial(house, "gateway")
            issue(house.home)
            before = len(answers)
            await asyncio.sleep(0.5)
        assert len(answers) > before
        assert await shown_serial(house) == serial(house, "generator")
        assert (listener.serials[0], listener.serials[-1]) == (old, serial(house, "gateway"))


async def test_another_authority_takes_over_and_no_call_fails_meanwhile(house: HouseSettings, tmp_path: Path) -> None:
    folder, other = house.home / "tls", tmp_path / "other"
    issue(other)
    old = (folder / "ca.pem").read_bytes()
    listener = Listener()
    async with serving(house, listener), connect(house, "gateway", "generator") as channel:
        async with calling(channel):
            (folder / "ca.pem").write_bytes(old + (other / "tls" / "ca.pem").read_bytes())
            await asyncio.sleep(0.2)
            for identity in ("generator", "gateway"):
                for suffix in (".pem", ".key"):
                    shutil.copy(other / "tls" / f"{identity}{suffix}", folder)
            await asyncio.sleep(0.2)
            (folder / "ca.pem").write_bytes((other / "tls" / "ca.pem").read_bytes())
            await asyncio.sleep(0.2)
        assert listener.serials[-1] == serial(house, "gateway")
        assert await shown_serial(house) == serial(house, "generator")


async def test_who_was_known_to_the_old_authority_alone_gets_in_no_more(house: HouseSettings, tmp_path: Path) -> None:
    former = tmp_path / "former"
    shutil.copytree(house.home / "tls", former / "tls")
    async with serving(house, Listener()):
        async with connect(house, "gateway", "generator") as channel:
            await load(channel)
        shutil.rmtree(house.home / "tls")
        issue(house.home)
        (former / "tls" / "ca.pem").write_bytes((house.home / "tls" / "ca.pem").read_bytes())
        stranger = house.model_copy(update={"home": former})
        async with connect(stranger, "gateway", "generator") as channel:
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await stubs.GeneratorServiceStub(channel).GetLoad(pb.GetLoadRequest(), timeout=2)
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_a_certificate_without_its_key_is_not_taken(house: HouseSettings, tmp_path: Path) -> None:
    issue(tmp_path / "other")
    listener = Listener()
    async with serving(house, listener), connect(house, "gateway", "generator") as channel:
        await load(channel)
        before = serial(house, "gateway")
        for identity in ("generator", "gateway"):
            shutil.copy(tmp_path / "other" / "tls" / f"{identity}.pem", house.home / "tls")
        await load(channel)
    assert set(listener.serials) == {before}


async def test_a_call_that_runs_ends_on_the_connection_that_it_began_on(house: HouseSettings) -> None:
    listener = Listener()
    async with serving(house, listener), connect(house, "gateway", "generator") as channel:
        await load(channel)
        listener.go.clear()
        running = asyncio.ensure_future(load(channel))
        await listener.has(2)
        issue(house.home)
        later = asyncio.ensure_future(load(channel))
        await listener.has(3)
        listener.go.set()
        answers = [(await call).queue_limit for call in (running, later)]
    assert answers == [7, 7]
    assert listener.peers[0] == listener.peers[1] != listener.peers[2]


async def test_a_channel_that_was_renewed_is_closed_with_its_last_call(house: HouseSettings) -> None:
    opened: list[grpc.aio.Channel] = []

    def open_channel(identity: Identity) -> grpc.aio.Channel:
        options = [("grpc.ssl_target_name_override", "generator")]
        credentials = tls.caller_credentials(identity)
        opened.append(grpc.aio.secure_channel(house.target("generator"), credentials, options))
        return opened[-1]

    listener = Listener()
    async with (
        serving(house, listener),
        RenewedChannel(tls.identity_files(house.home / "tls", "gateway"), open_channel) as channel,
    ):
        await load(channel)
        issue(house.home)
        await load(channel)
        await asyncio.sleep(0.1)
        states = [each.get_state() for each in opened]
    assert states == [grpc.ChannelConnectivity.SHUTDOWN, grpc.ChannelConnectivity.READY]


async def test_connections_are_given_up_after_a_while_and_no_call_fails(
    house: HouseSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(servers, "CONNECTION_SECONDS", 0.3)
    listener = Listener()
    async with (
        serving(house, listener),
        connect(house, "gateway", "generator") as channel,
        calling(channel),
    ):
        await asyncio.sleep(1.5)
    assert len(set(listener.peers)) > 2


class Names(asyncio.DatagramProtocol):
    """A name server that answers every question with `addresses`, good for no time at all."""

    def __init__(self, addresses: list[str]) -> None:
        self.addresses = addresses

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        end = data.index(b"\0", 12) + 5
        a_record = data[end - 4 : end - 2] == b"\0\1"
        addresses = self.addresses if a_record else []
        head = data[:2] + struct.pack(">5H", 0x8180, 1, len(addresses), 0, 0)
        records = b"".join(struct.pack(">3HIH", 0xC00C, 1, 1, 0, 4) + socket.inet_aton(each) for each in addresses)
        self.transport.sendto(head + data[12:end] + records, addr)


@asynccontextmanager
async def naming(names: Names, port: int) -> AsyncIterator[None]:
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(lambda: names, ("127.0.0.1", port))
    yield
    transport.close()


async def test_calls_go_round_all_replicas_and_a_new_one_gets_its_share(
    house: HouseSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(servers, "CONNECTION_SECONDS", 0.5)
    names, first, second = Names(["127.0.0.1"]), Listener(), Listener()
    name_port = house.port_base + 9
    target = f"dns://127.0.0.1:{name_port}/generator:{house.port('generator')}"
    caller = house.model_copy(update={"hosts": {"generator": target}})
    async with (
        naming(names, name_port),
        serving(house, first),
        serving(house.model_copy(update={"bind": "127.0.0.2"}), second),
        connect(caller, "gateway", "generator") as channel,
        calling(channel),
    ):
        await asyncio.sleep(0.2)
        assert first.peers
        assert not second.peers
        names.addresses = ["127.0.0.1", "127.0.0.2"]
        await second.has(50)
