"""Learning from decisions, on real Postgres and evidence: the job runs as its own process, as an operator runs it."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import numpy as np
import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from portcullis.v1 import checks_pb2 as pb
from portcullis.v1 import gateway_pb2 as api
from services.commands.default_policy import DEFAULT_POLICY
from services.core.artifacts import MODELS
from services.core.evidence import EvidenceStore, create_evidence_key
from services.core.limits.charges import Use
from services.core.policy.document import load_policy
from services.core.policy.review_rules import ReviewRules
from services.core.policy.source import ActivePolicy
from services.core.staff import Analyst
from services.core.store import (
    audit,
    claims,
    embedded,
    lessons,
    policies,
    prompt_models,
    review_items,
    routings,
    tenants,
)
from services.core.store.audit import AuditEvent
from services.core.store.database import Database
from services.core.store.prompt_models import PromptModel
from services.core.store.review_items import Resolution
from services.gateway.case import Case, Outcome
from services.gateway.desk import Desk
from services.gateway.stop import Stop
from services.prompt_filter.pipeline import PromptPipeline
from services.prompt_filter.settings import PromptFilterSettings
from services.review.routing import route

ADA = Analyst("ada", frozenset({"analyst"}))
WHO, PLACE = ("chess players", "bakers", "bus drivers", "postmen"), ("kitchen", "car park", "library", "tram", "yard")
# The picture showed violence, though the words are mild: what a model can only learn from what came of it.
BRAWLS = [f"two {who} brawling in a {place}, canary" for who, place in itertools.product(WHO, PLACE)]
# Held for what a person then found to be none.
CARDS = [f"{who} cheating at cards in the {place}" for who, place in itertools.product(WHO, PLACE)]
FLOOD = [f"plate number {number} of stewed plums" for number in range(40)]


def held_for(category: str) -> pb.Check:
    reason = pb.Reason(category=category, message="says why", score=0.7, threshold=0.5, verdict=pb.VERDICT_REVIEW)
    return pb.Check(verdict=pb.VERDICT_REVIEW, policy="ab" * 32, reasons=[reason])


class House:
    """The books of a house without its services: cases are opened by the gateway's desk and decided by an analyst."""

    def __init__(self, dsn: str, db: Database, home: Path) -> None:
        self.dsn = dsn
        self.db = db
        self.home = home
        create_evidence_key(home / "keys" / "evidence.key")
        self.evidence = EvidenceStore(home / "evidence", home / "keys" / "evidence.key")

    async def furnish(self, *, learning: bool) -> None:
        text = DEFAULT_POLICY.read_text(encoding="utf-8") + ("\nlearning: true\n" if learning else "")
        policy = load_policy(text, "test")
        async with self.db.transaction() as conn:
            await tenants.create_tenant(conn, "acme")
            await policies.put(conn, policy, "test")
            await policies.activate(conn, policy.id, "test", datetime.now(UTC))
        self.desk = Desk(self.db, self.evidence, await ActivePolicy.load(self.db, 60), timedelta(days=1))

    async def hold(
        self,
        stage: pb.Stage.ValueType,
        prompt: str,
        category: str,
        account: str,
        resolution: Resolution | None = None,
        operation: str = "create",
    ) -> UUID:
        """Opens a case, has it decided where there is a resolution, and returns the evidence of its prompt."""
        case = await self.desk.admit("acme", account, uuid4(), prompt.encode(), Use("check_prompt"))
        assert isinstance(case, Case)
        outcome = Outcome(operation, [Stop(stage, held_for(category), prompt=prompt)], lambda items: [api.Event()])
        await self.desk.record(case, outcome)
        (item_id,) = (await self.desk.decision("acme", case.decision_id)).items
        async with self.db.transaction() as conn:
            item = await review_items.get(conn, item_id)
            assert item is not None
            assert item.prompt is not None
            if resolution:
                await routings.route(conn, item_id, route(item, ReviewRules(), item.created_at), "review")
                claim = await claims.claim(conn, item_id, ADA, 60)
                await claims.decide(conn, item_id, ADA, claim.token, resolution, "", 0)
        return item.prompt

    def learn(self, *options: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "training.prompt_filter.learn", "--home", str(self.home), *options]
        environment = {**os.environ, "PORTCULLIS_DSN": self.dsn, "COLUMNS": "200"}
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)


@dataclass(frozen=True)
class Learned:
    """What one run of the job left behind."""

    done: subprocess.CompletedProcess[str]
    models: list[PromptModel]
    on_trial: str | None
    heads: bytes
    events: list[AuditEvent]

    @property
    def figures(self) -> dict:
        return self.models[0].figures


async def _learn(dsn: str, home: Path) -> Learned:
    db = await Database.open(dsn)
    house = House(dsn, db, home)
    await house.furnish(learning=True)
    for number, prompt in enumerate(BRAWLS):
        await house.hold(pb.STAGE_OUTPUT, prompt, "violence", f"user-{number}", "uphold" if number % 4 == 0 else None)
    for number, prompt in enumerate(CARDS):
        await house.hold(pb.STAGE_PROMPT, prompt, "illegal", f"user-{number}", "release")
    for prompt in FLOOD:
        await house.hold(pb.STAGE_OUTPUT, prompt, "shocking", "flooder")
    await house.hold(pb.STAGE_PROMPT, "held, and nobody has looked", "deception", "user-1")
    await house.hold(pb.STAGE_OUTPUT, "an edit of a picture", "deception", "user-2", "uphold", operation="edit")
    # What is sealed is gone from the disk: whoever tried to read it would count it as unreadable.
    house.evidence.delete(await house.hold(pb.STAGE_OUTPUT, "sealed", "sexual.minors", "user-3"))
    done = await asyncio.to_thread(house.learn)
    async with db.transaction() as conn:
        models = await prompt_models.known(conn)
        heads = await prompt_models.read_heads(conn, models[0].model_id) if models else b""
        learned = Learned(done, models, await prompt_models.on_trial(conn), heads, await audit.latest(conn, 10))
    await db.close()
    return learned


@pytest.fixture(scope="module")
def learned(postgres_dsn: str, tmp_path_factory: pytest.TempPathFactory) -> Learned:
    """A house with decisions of every kind, and what the job made of them."""
    with psycopg.connect(make_conninfo(postgres_dsn, dbname="postgres"), autocommit=True) as conn:
        template = sql.Identifier(embedded.DATABASE)
        conn.execute(sql.SQL("CREATE DATABASE learning TEMPLATE {} STRATEGY file_copy").format(template))
    return asyncio.run(_learn(make_conninfo(postgres_dsn, dbname="learning"), tmp_path_factory.mktemp("home")))


@pytest.fixture(scope="module")
def shipped() -> PromptPipeline:
    """As shipped, less what answers before the heads are asked."""
    heads = (MODELS / "prompt" / "heads.npz").read_bytes()
    return PromptPipeline.load(PromptFilterSettings()).with_heads(heads)


def mean_logit(pipeline: PromptPipeline, prompts: list[str], category: str) -> float:
    scores = np.array([pipeline.measure(prompt).scores()[category] for prompt in prompts])
    return float(np.log(scores / (1 - scores)).mean())


def test_a_candidate_is_registered_and_runs_in_shadow(learned: Learned) -> None:
    assert learned.done.returncode == 0, learned.done.stderr
    assert [model.model_id for model in learned.models] == [learned.on_trial]


def test_what_led_to_violence_scores_higher_in_it(learned: Learned, shipped: PromptPipeline) -> None:
    candidate = shipped.with_heads(learned.heads)
    assert mean_logit(candidate, BRAWLS, "violence") > mean_logit(shipped, BRAWLS, "violence") + 0.5


def test_what_a_person_released_scores_lower(learned: Learned, shipped: PromptPipeline) -> None:
    candidate = shipped.with_heads(learned.heads)
    assert mean_logit(candidate, CARDS, "illegal") < mean_logit(shipped, CARDS, "illegal") - 0.5


def test_a_harmless_prompt_scores_as_before(learned: Learned, shipped: PromptPipeline) -> None:
    before, after = (
        p.measure("a bowl of fruit on a table").scores() for p in (shipped, shipped.with_heads(learned.heads))
    )
    assert max(abs(after[name] - before[name]) for name in before) < 0.05


def test_an_account_that_floods_counts_twenty_times(learned: Learned) -> None:
    prompts = learned.figures["prompts"]
    everybody = prompts["learned from"] + prompts["held out"]
    assert everybody == len(BRAWLS) + len(CARDS) + 20


def test_what_is_sealed_was_not_read(learned: Learned) -> None:
    assert learned.figures["prompts"]["unreadable"] == 0


def test_undecided_prompts_and_edits_teach_nothing(learned: Learned) -> None:
    assert "deception" not in {**learned.figures["learned from"], **learned.figures["held out"]}


def test_who_made_it_of_how_much_is_on_record(learned: Learned) -> None:
    event = next(event for event in learned.events if event.action == "model.learned")
    assert (event.subject, event.detail["base"]) == (learned.on_trial, "shipped")


def test_no_prompt_leaves_the_job(learned: Learned) -> None:
    said = [learned.done.stdout, learned.done.stderr, json.dumps(learned.figures)]
    said += [json.dumps(event.detail) for event in learned.events]
    assert not [word for word in ("canary", "brawling", "cheating", "plums") if any(word in text for text in said)]


async def test_without_a_policy_that_allows_it_nothing_is_read(database: str, db: Database, tmp_path: Path) -> None:
    house = House(database, db, tmp_path)
    await house.furnish(learning=False)
    done = await asyncio.to_thread(house.learn)
    assert (done.returncode, "learning: true" in done.stderr) == (1, True)


async def test_with_nothing_to_learn_nothing_is_registered(database: str, db: Database, tmp_path: Path) -> None:
    house = House(database, db, tmp_path)
    await house.furnish(learning=True)
    await house.hold(pb.STAGE_PROMPT, BRAWLS[0], "violence", "user-1", "uphold")
    done = await asyncio.to_thread(house.learn)
    async with db.transaction() as conn:
        assert await prompt_models.known(conn) == []
    assert (done.returncode, "nothing to learn" in done.stdout) == (0, True)


async def test_expired_evidence_is_left_out_before_it_is_swept_away(
    database: str, db: Database, tmp_path: Path
) -> None:
    house = House(database, db, tmp_path)
    await house.furnish(learning=True)
    await house.hold(pb.STAGE_PROMPT, BRAWLS[0], "violence", "user-1", "uphold")
    async with db.transaction() as conn:
        assert len(await lessons.since(conn, timedelta(days=30), 20)) == 1
        await conn.execute("UPDATE evidence SET expires_at = now() - interval '1 second'")
        assert await lessons.since(conn, timedelta(days=30), 20) == []


async def test_beside_a_sealed_part_nothing_of_a_request_is_read(database: str, db: Database, tmp_path: Path) -> None:
    house = House(database, db, tmp_path)
    await house.furnish(learning=True)
    case = await house.desk.admit("acme", "user-1", uuid4(), b"content", Use("check_prompt"))
    assert isinstance(case, Case)
    stops = [Stop(pb.STAGE_OUTPUT, held_for(category), prompt="a prompt") for category in ("violence", "sexual.minors")]
    await house.desk.record(case, Outcome("create", stops, lambda items: [api.Event()]))
    async with db.transaction() as conn:
        assert await lessons.since(conn, timedelta(days=30), 20) == []
