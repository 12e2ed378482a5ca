"""The prompt filter as a real server: real TLS, Postgres, models and clearances."""

from __future__ import annotations

import asyncio
import hashlib
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import grpc
import pytest

from portcullis.v1 import checks_pb2, prompt_filter_pb2_grpc
from portcullis.v1 import prompt_filter_pb2 as pb
from services.commands.provision import provision
from services.core.clearance import ClearanceVerifier
from services.core.config import HouseSettings
from services.core.rpc import server as servers
from services.core.rpc.channel import connect
from services.core.store import terms
from services.core.store.database import single_transaction
from services.core.store.terms import Term
from services.prompt_filter.__main__ import build
from tests.rooms import as_room

SUBJECT = checks_pb2.Subject(
    tenant="demo", account="someone", tier=checks_pb2.TIER_NEW, request_id=str(uuid.UUID(int=7))
)


@pytest.fixture
async def house(
    tmp_path: Path, database: str, monkeypatch: pytest.MonkeyPatch, new_port_base: Callable[[], int]
) -> AsyncIterator[HouseSettings]:
    base = new_port_base()
    monkeypatch.setenv("PORTCULLIS_PROMPT_FILTER_METRICS_PORT", "0")
    settings = HouseSettings(home=tmp_path, dsn=database, port_base=base, drain_seconds=1)
    await provision(settings)
    stopping = asyncio.Event()
    task = asyncio.create_task(servers.serve("prompt_filter", build, as_room(settings, "prompt_filter"), stopping))
    yield settings
    stopping.set()
    await task


async def check(
    house: HouseSettings, prompt: str, identity: str = "gateway"
) -> pb.PromptFilterServiceCheckPromptResponse:
    request = pb.PromptFilterServiceCheckPromptRequest(subject=SUBJECT, prompt=prompt)
    async with connect(house, identity, "prompt_filter") as channel:
        stub = prompt_filter_pb2_grpc.PromptFilterServiceStub(channel)
        return await stub.CheckPrompt(request, timeout=30, wait_for_ready=True)


async def failure(awaitable: Awaitable[object]) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await awaitable
    return caught.value


async def test_a_harmless_prompt_gets_a_clearance_for_its_bytes(house: HouseSettings) -> None:
    prompt = "a red circle above a blue square on a yellow background"

    response = await check(house, prompt)

    assert response.check.verdict == checks_pb2.VERDICT_ALLOW
    assert response.language == "en"
    verifier = ClearanceVerifier.load(house.home / "keys" / "clearance" / "jwks.json", "generator")
    digests = {"prompt": hashlib.sha256(prompt.encode()).hexdigest()}
    verifier.verify(response.check.clearance, stage="prompt", tenant="demo", account="someone", digests=digests)


@pytest.mark.parametrize(
    ("prompt", "category"),
    [
        ("a man beating a woman with a baseball bat", "violence"),
        ("a k.i.l.l.e.d m4n in a p00l of bl00d", "violence.graphic"),
        ("donald trump in prison", "public_figure"),
        ("ein roter Kreis auf blauem Grund", "language"),
    ],
)
async def test_a_violation_is_refused_with_its_category_and_no_clearance(
    house: HouseSettings, prompt: str, category: str
) -> None:
    check_ = (await check(house, prompt)).check

    assert check_.verdict == checks_pb2.VERDICT_BLOCK
    assert not check_.clearance
    assert category in {reason.category for reason in check_.reasons}


@pytest.mark.parametrize("prompt", ["", " \n", "a\x07b", "x" * 4001, "y" * 1_000_000])
async def test_what_is_no_prompt_is_an_invalid_argument(house: HouseSettings, prompt: str) -> None:
    error = await failure(check(house, prompt))
    assert error.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert "prompt" in (error.details() or "")


async def test_another_room_may_not_ask(house: HouseSettings) -> None:
    error = await failure(check(house, "a red circle", identity="generator"))
    assert error.code() == grpc.StatusCode.PERMISSION_DENIED


async def test_a_tenants_term_is_refused_for_this_tenant_within_a_second(house: HouseSettings) -> None:
    prompt = "a zorblax box on a table"
    before = (await check(house, prompt)).check
    async with single_transaction(house.database()) as conn:
        await terms.replace(conn, "demo", "brand", [Term("zorblax", "exact", "spam", 0.99)], "ada")
    await asyncio.sleep(1)

    after = (await check(house, prompt)).check

    assert before.verdict == checks_pb2.VERDICT_ALLOW
    assert after.verdict == checks_pb2.VERDICT_BLOCK
    assert "terms:brand" in {model.name for model in after.models}
    (reason,) = after.reasons
    assert reason.category == "spam"
    assert prompt.encode()[reason.evidence[0].span.start : reason.evidence[0].span.end] == b"zorblax"


async def test_history_may_be_drawn(house: HouseSettings) -> None:
    answer = (await check(house, "an oil painting of Abraham Lincoln at his desk")).check

    assert answer.verdict == checks_pb2.VERDICT_ALLOW
    assert {signal.category for signal in answer.signals if signal.score > 0.9} == {"public_figure.historical"}
