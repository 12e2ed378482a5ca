"""A candidate model on real Postgres and a running filter: in shadow it changes nothing, a policy promotes it."""

from __future__ import annotations

import asyncio
import io
import os
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from prometheus_client import REGISTRY

from portcullis.v1 import checks_pb2, prompt_filter_pb2_grpc
from portcullis.v1 import prompt_filter_pb2 as pb
from services.commands.default_policy import DEFAULT_POLICY
from services.commands.provision import provision
from services.core.artifacts import MODELS, file_sha256
from services.core.config import HouseSettings
from services.core.policy.document import load_policy
from services.core.rpc import server as servers
from services.core.rpc.channel import connect
from services.core.store import policies, prompt_models
from services.core.store.database import Database
from services.prompt_filter.__main__ import build
from tests.rooms import as_room

PORTCULLIS = Path(sys.executable).with_name("portcullis")
SUBJECT = checks_pb2.Subject(
    tenant="demo", account="someone", tier=checks_pb2.TIER_NEW, request_id=str(uuid.UUID(int=7))
)
HARMLESS = "a red circle above a blue square"
ENCODER = file_sha256(MODELS / "prompt" / "encoder.onnx")


def suspicious_heads() -> bytes:
    """The shipped heads, but everything looks like spam to them."""
    with np.load(MODELS / "prompt" / "heads.npz", allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    arrays["mix"][list(arrays["categories"]).index("spam"), -1] += 50
    data = io.BytesIO()
    np.savez_compressed(data, **arrays)
    return data.getvalue()


@pytest.fixture
async def house(
    tmp_path: Path, database: str, monkeypatch: pytest.MonkeyPatch, new_port_base: Callable[[], int]
) -> AsyncIterator[HouseSettings]:
    monkeypatch.setenv("PORTCULLIS_PROMPT_FILTER_METRICS_PORT", "0")
    settings = HouseSettings(home=tmp_path, dsn=database, port_base=new_port_base(), drain_seconds=1)
    await provision(settings)
    stopping = asyncio.Event()
    task = asyncio.create_task(servers.serve("prompt_filter", build, as_room(settings, "prompt_filter"), stopping))
    yield settings
    stopping.set()
    await task


async def check(house: HouseSettings, prompt: str = HARMLESS) -> checks_pb2.Check:
    request = pb.PromptFilterServiceCheckPromptRequest(subject=SUBJECT, prompt=prompt)
    async with connect(house, "gateway", "prompt_filter") as channel:
        stub = prompt_filter_pb2_grpc.PromptFilterServiceStub(channel)
        return (await stub.CheckPrompt(request, timeout=30, wait_for_ready=True)).check


async def register(db: Database, encoder: str = ENCODER) -> str:
    async with db.transaction() as conn:
        return await prompt_models.register(conn, suspicious_heads(), encoder, {"recall": 1.0}, "test")


async def activate(db: Database, model_id: str) -> None:
    text = DEFAULT_POLICY.read_text(encoding="utf-8") + f"\nprompt_model: {model_id}\n"
    policy = load_policy(text, "candidate")
    async with db.transaction() as conn:
        await policies.put(conn, policy, "test")
        await policies.activate(conn, policy.id, "test", datetime.now(UTC))


def shadow_blocks() -> float:
    """How many prompts that were allowed the model on trial would have refused."""
    labels = {"active": "ALLOW", "shadow": "BLOCK"}
    return REGISTRY.get_sample_value("portcullis_shadow_verdicts_total", labels) or 0.0


async def until(condition, seconds: float = 30) -> None:
    async with asyncio.timeout(seconds):
        while not await condition():  # noqa: ASYNC110 - what is waited for happens elsewhere
            await asyncio.sleep(0.2)


async def test_on_trial_a_model_is_counted_and_changes_no_answer(house: HouseSettings, db: Database) -> None:
    model_id = await register(db)
    async with db.transaction() as conn:
        await prompt_models.put_on_trial(conn, model_id, "test")
    before = shadow_blocks()

    async def told() -> bool:
        assert (await check(house)).verdict == checks_pb2.VERDICT_ALLOW
        return shadow_blocks() > before

    await until(told)


async def test_a_policy_that_names_it_makes_it_the_judge(house: HouseSettings, db: Database) -> None:
    model_id = await register(db)
    assert (await check(house)).verdict == checks_pb2.VERDICT_ALLOW

    await activate(db, model_id)

    async def judged() -> bool:
        try:
            verdict = await check(house)
        except Exception:  # not loaded yet: closed, not open
            return False
        assert model_id not in {m.digest for m in verdict.models} or verdict.verdict == checks_pb2.VERDICT_BLOCK
        return model_id in {m.digest for m in verdict.models}

    await until(judged)


async def test_a_model_of_another_encoder_closes_the_gate(house: HouseSettings, db: Database) -> None:
    await check(house)
    await activate(db, await register(db, encoder="ab" * 32))

    async def closed() -> bool:
        try:
            await check(house)
        except Exception as error:
            return "UNAVAILABLE" in str(error)
        return False

    await until(closed)


async def test_candidates_are_listed_tried_and_ended_by_command(tmp_path: Path, database: str, db: Database) -> None:
    model_id = await register(db)

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "PORTCULLIS_HOME": str(tmp_path), "PORTCULLIS_DSN": database}
        return subprocess.run([PORTCULLIS, *arguments], env=environment, capture_output=True, text=True, timeout=60)

    assert model_id[:12] in run("models", "list").stdout
    assert '"recall": 1.0' in run("models", "show", model_id[:6]).stdout
    assert "on trial" in run("models", "trial", model_id[:6]).stdout
    assert "on trial" in run("models", "list").stdout
    run("models", "trial", "--end")
    async with db.transaction() as conn:
        assert await prompt_models.on_trial(conn) is None
    unknown = run("models", "trial", "ffff")
    assert (unknown.returncode, "no model begins with ffff" in unknown.stderr) == (1, True)


def test_a_policy_with_an_unknown_model_is_not_activated(tmp_path: Path, database: str) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text(DEFAULT_POLICY.read_text(encoding="utf-8") + f"\nprompt_model: {'ab' * 32}\n")
    environment = {**os.environ, "PORTCULLIS_HOME": str(tmp_path), "PORTCULLIS_DSN": database}
    done = subprocess.run(
        [PORTCULLIS, "policy", "activate", str(path)], env=environment, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, "is registered" in done.stderr) == (1, True)
