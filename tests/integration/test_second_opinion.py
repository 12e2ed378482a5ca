"""A guard model is asked about doubtful prompts alone; the policy decides what its answer means."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from portcullis.v1 import checks_pb2, prompt_filter_pb2_grpc
from portcullis.v1 import prompt_filter_pb2 as pb
from services.commands.default_policy import DEFAULT_POLICY
from services.commands.provision import provision
from services.core.artifacts import folder_sha256
from services.core.config import HouseSettings
from services.core.policy.document import load_policy
from services.core.rpc import server as servers
from services.core.rpc.channel import connect
from services.core.store import policies
from services.core.store.database import Database
from services.prompt_filter.__main__ import build
from tests.rooms import as_room
from tests.unit.prompt_filter import tiny_checkpoints

SUBJECT = checks_pb2.Subject(
    tenant="demo", account="someone", tier=checks_pb2.TIER_NEW, request_id=str(uuid.UUID(int=7))
)
# A policy that holds what is political for a person, and refuses it where the guard was asked.
HELD = ("political:\n    block: {new: 0.9, trusted: 0.95, red_team: 0.95}", "political:\n    block: never")
RULE = """
  - name: guard-agrees
    stages: [prompt]
    category: political
    verdict: BLOCK
    message: A second model agrees.
    when: score("concept.second_opinion", 0.0) > 0.0
"""


@pytest.fixture
async def house(
    tmp_path: Path, database: str, db: Database, monkeypatch: pytest.MonkeyPatch, new_port_base: Callable[[], int]
) -> AsyncIterator[HouseSettings]:
    """A prompt filter with a guard, under a policy in which the guard's word counts."""
    guard = tiny_checkpoints.causal(tmp_path / "guard")
    base = new_port_base()
    monkeypatch.setenv("PORTCULLIS_PROMPT_FILTER_METRICS_PORT", "0")
    monkeypatch.setenv("PORTCULLIS_PROMPT_FILTER_GUARD_URI", str(guard))
    monkeypatch.setenv("PORTCULLIS_PROMPT_FILTER_GUARD_SHA256", folder_sha256(guard))
    settings = HouseSettings(home=tmp_path, dsn=database, port_base=base, drain_seconds=1)
    await provision(settings)
    text = DEFAULT_POLICY.read_text(encoding="utf-8").replace(*HELD).replace("\nrules:\n", f"\nrules:{RULE}")
    policy = load_policy(text, "with the guard")
    async with db.transaction() as conn:
        await policies.put(conn, policy, "test")
        await policies.activate(conn, policy.id, "test", datetime.now(UTC))
    stopping = asyncio.Event()
    task = asyncio.create_task(servers.serve("prompt_filter", build, as_room(settings, "prompt_filter"), stopping))
    yield settings
    stopping.set()
    await task


async def check(house: HouseSettings, prompt: str) -> checks_pb2.Check:
    request = pb.PromptFilterServiceCheckPromptRequest(subject=SUBJECT, prompt=prompt)
    async with connect(house, "gateway", "prompt_filter") as channel:
        stub = prompt_filter_pb2_grpc.PromptFilterServiceStub(channel)
        return (await stub.CheckPrompt(request, timeout=30, wait_for_ready=True)).check


async def test_a_doubtful_prompt_gets_a_second_opinion_that_the_policy_hears(house: HouseSettings) -> None:
    check_ = await check(house, "a ballot with the name of the senator, vote for her in this election campaign")
    assert "guard" in {model.name for model in check_.models}
    assert check_.verdict == checks_pb2.VERDICT_BLOCK
    assert "guard-agrees" in {reason.rule for reason in check_.reasons}


async def test_a_clear_prompt_does_not_wait_for_the_guard(house: HouseSettings) -> None:
    check_ = await check(house, "a red circle above a blue square")
    assert check_.verdict == checks_pb2.VERDICT_ALLOW
    assert "guard" not in {model.name for model in check_.models}
