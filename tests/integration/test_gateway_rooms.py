"""What the gateway knows of the generator it has, over real connections."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from types import MappingProxyType

import pytest

from services.core import clearance
from services.core.config import HouseSettings
from services.core.rpc import server as servers
from services.core.rpc import tls
from services.core.rpc.channel import connect
from services.gateway.rooms import ASSUMED_SIZE, Rooms
from services.generator.__main__ import build
from tests.integration.open_model import open_model


@pytest.fixture
def house(tmp_path: Path, new_port_base: Callable[[], int]) -> HouseSettings:
    home = tmp_path / "home"
    tls.create_ca(home / "tls")
    for identity in ("gateway", "generator"):
        tls.issue_certificate(home / "tls", identity)
    clearance.create_keys(home / "keys" / "clearance")
    return HouseSettings(home=home, port_base=new_port_base(), drain_seconds=1)


@asynccontextmanager
async def generator(
    house: HouseSettings, environment: pytest.MonkeyPatch, settings: Mapping[str, str] = MappingProxyType({})
) -> AsyncIterator[None]:
    """A generator that answers."""
    for name, value in {"PORTCULLIS_GENERATOR_METRICS_PORT": "0", **settings}.items():
        environment.setenv(name, value)
    stopping = asyncio.Event()
    serving = asyncio.create_task(servers.serve("generator", build, house, stopping))
    async with connect(house, "gateway", "generator") as channel:
        await channel.channel_ready()
        yield
    stopping.set()
    await serving


@asynccontextmanager
async def gateways(house: HouseSettings) -> AsyncIterator[Rooms]:
    rooms = Rooms(house, check_seconds=5)
    yield rooms
    await rooms.close()


async def told_size(rooms: Rooms) -> int:
    """The model's own size, once a busy generator has said it."""
    for _ in range(300):
        if (size := await rooms.own_size()) != ASSUMED_SIZE:
            return size
        await asyncio.sleep(0.2)
    raise TimeoutError


async def test_the_embedded_model_takes_no_other_words_than_its_own(
    house: HouseSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with generator(house, monkeypatch), gateways(house) as rooms:
        assert await told_size(rooms) == 256
        assert not await rooms.takes_any_words()


async def test_a_model_with_an_open_vocabulary_takes_any(
    house: HouseSettings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    settings = open_model(tmp_path / "model")

    async with generator(house, monkeypatch, settings), gateways(house) as rooms:
        assert await told_size(rooms) == 64
        assert await rooms.takes_any_words()


async def test_a_generator_that_says_nothing_takes_none(house: HouseSettings) -> None:
    async with gateways(house) as rooms:
        assert not await rooms.takes_any_words()
        assert await rooms.own_size() == ASSUMED_SIZE
