"""The gateway's books on a real Postgres: who is admitted, and what a record leaves behind."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest

from portcullis.v1 import checks_pb2 as pb
from portcullis.v1 import gateway_pb2 as api
from services.core.errors import Aborted, FailedPrecondition, Unavailable
from services.core.evidence import EvidenceStore, create_evidence_key
from services.core.limits.charges import Use
from services.core.policy.source import ActivePolicy
from services.core.store import accounts
from services.core.store.database import Database
from services.gateway.case import Case, Outcome
from services.gateway.desk import Desk, Replay
from services.gateway.stop import Stop

CHECK = Use("check_prompt")
HOLD = pb.Check(
    verdict=pb.VERDICT_REVIEW,
    policy="ab" * 32,
    reasons=[pb.Reason(category="political", message="says why", verdict=pb.VERDICT_REVIEW)],
)


@pytest.fixture
async def desk(governed: Database, tmp_path: Path) -> Desk:
    create_evidence_key(tmp_path / "evidence.key")
    evidence = EvidenceStore(tmp_path / "evidence", tmp_path / "evidence.key")
    return Desk(governed, evidence, await ActivePolicy.load(governed, 60), timedelta(days=1))


async def suspend(db: Database, until: str) -> None:
    async with db.transaction() as conn:
        await accounts.get_or_create(conn, "acme", "user-1")
        await conn.execute("UPDATE accounts SET standing = 'suspended', standing_until = now() + %s::interval", [until])


async def test_a_suspended_account_is_not_admitted(desk: Desk, db: Database) -> None:
    await suspend(db, "1 day")

    with pytest.raises(FailedPrecondition) as caught:
        await desk.admit("acme", "user-1", uuid4(), b"content", CHECK)

    assert caught.value.reason == "ACCOUNT_SUSPENDED"


async def test_a_suspension_that_ended_keeps_nobody_out(desk: Desk, db: Database) -> None:
    await suspend(db, "-1 second")

    assert isinstance(await desk.admit("acme", "user-1", uuid4(), b"content", CHECK), Case)


async def test_a_held_request_leaves_its_decision_its_case_and_its_answer(desk: Desk) -> None:
    request_id = uuid4()
    case = await desk.admit("acme", "user-1", request_id, b"content", CHECK)
    assert isinstance(case, Case)
    stop = Stop(pb.STAGE_PROMPT, HOLD, prompt="a poster for a campaign")

    await desk.record(
        case, Outcome("create", [stop], lambda items: [api.Event(held=api.Held(review_item_id=str(items[0])))])
    )

    recorded = await desk.decision("acme", case.decision_id)
    replay = await desk.admit("acme", "user-1", request_id, b"content", CHECK)
    assert isinstance(replay, Replay)
    (event,) = (api.Event.FromString(message) for message in replay.messages)
    assert [event.held.review_item_id] == [str(item) for item in recorded.items]


async def test_a_request_that_runs_is_not_begun_again_until_it_was_given_up(desk: Desk) -> None:
    request_id = uuid4()
    first = await desk.admit("acme", "user-1", request_id, b"content", CHECK)
    assert isinstance(first, Case)
    with pytest.raises(Aborted):
        await desk.admit("acme", "user-1", request_id, b"content", CHECK)

    await desk.give_up(first, Unavailable("a room is not there"))

    assert isinstance(await desk.admit("acme", "user-1", request_id, b"content", CHECK), Case)
