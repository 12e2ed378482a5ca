"""The gateway and conduct on a real Postgres: strikes in the record's transaction, standings at the door."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from google.rpc import error_details_pb2

from portcullis.v1 import checks_pb2 as pb
from portcullis.v1 import gateway_pb2 as api
from services.core.errors import FailedPrecondition, Unavailable
from services.core.evidence import EvidenceStore, create_evidence_key
from services.core.limits.charges import Use
from services.core.policy.source import ActivePolicy
from services.core.policy.standing_rules import StandingRules
from services.core.rpc.status import to_status
from services.core.standing import conduct
from services.core.store import accounts, strikes
from services.core.store.database import Database
from services.gateway.case import Case, Outcome
from services.gateway.desk import Desk
from services.gateway.stop import Stop

REFUSED = pb.Check(
    verdict=pb.VERDICT_BLOCK,
    policy="ab" * 32,
    reasons=[pb.Reason(category="violence", message="says why", verdict=pb.VERDICT_BLOCK)],
)
STOPS = [Stop(pb.STAGE_PROMPT, REFUSED, prompt="a fight")]


@pytest.fixture
async def desk(governed: Database, tmp_path: Path) -> Desk:
    create_evidence_key(tmp_path / "evidence.key")
    evidence = EvidenceStore(tmp_path / "evidence", tmp_path / "evidence.key")
    return Desk(governed, evidence, await ActivePolicy.load(governed, 60), timedelta(days=1))


async def ask(desk: Desk, stops: Sequence[Stop] = STOPS, *, advice: bool = False) -> Case:
    case = await desk.admit("acme", "user-1", uuid4(), b"content", Use("create"))
    assert isinstance(case, Case)
    await desk.record(case, Outcome("create", stops, lambda _items: [api.Event()], advice=advice))
    return case


async def ask_on(desk: Desk, times: int) -> None:
    for _ in range(times):
        await ask(desk)


async def given(db: Database) -> list[strikes.GivenStrike]:
    async with db.transaction() as conn:
        return await strikes.of_account(conn, "acme", "user-1", sealed=[False, True])


async def test_refusals_lead_to_a_pause_that_the_very_next_request_meets(desk: Desk) -> None:
    await ask_on(desk, 8)

    with pytest.raises(FailedPrecondition) as caught:
        await ask_on(desk, 7)  # 9 to 14 refusals are enough, by the jitter; the next request meets the pause

    assert caught.value.reason == "ACCOUNT_COOLING"


async def test_the_wire_says_until_when_and_how_to_appeal(desk: Desk) -> None:
    with pytest.raises(FailedPrecondition) as caught:
        await ask_on(desk, 15)

    info = error_details_pb2.ErrorInfo()
    assert to_status(caught.value).details[0].Unpack(info)
    assert sorted(info.metadata) == ["appeal", "standing", "until"]


async def test_a_strike_names_its_decision(desk: Desk, db: Database) -> None:
    case = await ask(desk)

    (strike,) = await given(db)

    assert (strike.decision_id, strike.category, strike.stage) == (case.decision_id, "violence", "prompt")


async def test_advice_gives_no_strike(desk: Desk, db: Database) -> None:
    await ask(desk, advice=True)

    assert await given(db) == []


async def test_a_strike_stands_or_falls_with_its_record(desk: Desk, db: Database) -> None:
    case = await desk.admit("acme", "user-1", uuid4(), b"content", Use("create"))
    assert isinstance(case, Case)
    await desk.give_up(case, Unavailable("a room is not there"))

    with pytest.raises(Exception, match="took this request over"):
        await desk.record(case, Outcome("create", STOPS, lambda _items: [api.Event()]))

    assert await given(db) == []


async def test_the_case_of_an_account_on_hold_says_why(desk: Desk, db: Database) -> None:
    now = datetime.now(UTC)
    async with db.transaction() as conn:
        await accounts.get_or_create(conn, "acme", "user-1")
        await conduct.impose(
            conn,
            "acme",
            "user-1",
            "held",
            "anomaly.velocity",
            now + timedelta(hours=1),
            who="anomalies",
            rules=StandingRules(),
            now=now,
        )

    case = await desk.admit("acme", "user-1", uuid4(), b"content", Use("create"))

    assert isinstance(case, Case)
    assert case.hold_for == "anomaly.velocity"


@pytest.mark.parametrize(("step", "stopped"), [("suspended", True), ("held", False)])
async def test_an_account_that_is_suspended_meanwhile_gets_no_further(
    desk: Desk, db: Database, step: conduct.Imposed, stopped: bool
) -> None:
    now = datetime.now(UTC)
    case = await desk.admit("acme", "user-1", uuid4(), b"content", Use("create"))
    assert isinstance(case, Case)
    await desk.check_standing(case)
    async with db.transaction() as conn:
        await conduct.impose(
            conn, "acme", "user-1", step, "lead", now + timedelta(hours=1), who="lead", rules=StandingRules(), now=now
        )

    if stopped:
        with pytest.raises(FailedPrecondition, match="suspended"):
            await desk.check_standing(case)
    else:
        await desk.check_standing(case)
