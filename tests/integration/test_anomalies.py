"""The rules on the unusual, through the gateway's own books on a real Postgres."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest

from benchmarks.simulation.house import House
from portcullis.v1 import checks_pb2 as pb
from portcullis.v1 import gateway_pb2 as api
from services.commands.default_policy import DEFAULT_POLICY
from services.core.anomalies.watched import Seen
from services.core.errors import FailedPrecondition
from services.core.evidence import EvidenceStore, create_evidence_key
from services.core.limits.charges import Use
from services.core.policy.document import load_policy
from services.core.policy.source import ActivePolicy
from services.core.pseudonyms import Pseudonyms
from services.core.standing import conduct
from services.core.store import account_links, accounts, anomalies, policies, strikes
from services.core.store.anomalies import Anomaly
from services.core.store.database import Database
from services.gateway import watch
from services.gateway.case import Case, Outcome
from services.gateway.desk import Desk
from services.gateway.sight import Sight
from services.gateway.stop import Stop

DEFAULT = DEFAULT_POLICY.read_text()
CLEAR = pb.Check(verdict=pb.VERDICT_ALLOW, clearance="signed", policy="ab" * 32)
KEY = Pseudonyms(bytes(32), "account links")
EVERYONE = [False, True]


def refused(sketch: bytes, category: str = "violence") -> pb.Check:
    reason = pb.Reason(category=category, message="says why", score=0.9, verdict=pb.VERDICT_BLOCK)
    return pb.Check(verdict=pb.VERDICT_BLOCK, policy="ab" * 32, reasons=[reason], sketch=sketch)


@pytest.fixture
async def desk(governed: Database, tmp_path: Path) -> AsyncIterator[Desk]:
    create_evidence_key(tmp_path / "evidence.key")
    evidence = EvidenceStore(tmp_path / "evidence", tmp_path / "evidence.key")
    desk = Desk(governed, evidence, await ActivePolicy.load(governed, 60), timedelta(days=1))
    watching = asyncio.create_task(desk.observer.keep_watch())
    yield desk
    watching.cancel()


async def govern(desk: Desk, db: Database, text: str) -> None:
    """Puts a policy in force."""
    policy = load_policy(text, "test")
    async with db.transaction() as conn:
        await policies.put(conn, policy, "test")
        await policies.activate(conn, policy.id, "test", datetime.now(UTC))
    await desk._policy._refresh()


async def ask(desk: Desk, account: str, *stops: Stop) -> bool:
    """One request with these checks, watched to the end; False where the account is not let in."""
    try:
        case = await desk.admit("acme", account, uuid4(), b"content", Use("create"))
    except FailedPrecondition:
        return False
    assert isinstance(case, Case)
    accepted = api.Event(accepted=api.Accepted(decision_id=str(case.decision_id)))
    await desk.record(case, Outcome("create", stops, lambda _items: [accepted]))
    await desk.observer.settled()
    return True


async def probe(desk: Desk, account: str, times: int) -> None:
    """So many refused rewordings of one prompt."""
    sketch = bytearray(random.Random(account).randbytes(48))
    for place in range(times):
        sketch[place] ^= 1
        await ask(desk, account, Stop(pb.STAGE_PROMPT, refused(bytes(sketch), "political"), prompt="a prompt"))


async def fired(db: Database, account: str, sealed: list[bool] = EVERYONE) -> list[Anomaly]:
    async with db.transaction() as conn:
        return await anomalies.of_subject(conn, "acme", account, sealed=sealed, limit=10)


async def standing(db: Database, account: str) -> str:
    async with db.transaction() as conn:
        return (await accounts.get_or_create(conn, "acme", account)).standing


async def share(db: Database, account: str, *things: bytes) -> None:
    """What `UpdateAccount` does with shared hashes."""
    async with db.transaction() as conn:
        await accounts.get_or_create(conn, "acme", account)
        if await account_links.add(conn, KEY, "acme", account, things):
            now, policy = datetime.now(UTC), (await policies.load_active(conn)).document
            await watch.judge_newcomer(conn, "acme", account, now, policy)


async def suspend(db: Database, account: str) -> None:
    async with db.transaction() as conn:
        rules, now = (await policies.load_active(conn)).document.standing, datetime.now(UTC)
        await conduct.impose(
            conn, "acme", account, "suspended", "person", None, who="analyst/ann", rules=rules, now=now, confirmed=True
        )


async def test_probing_has_a_person_look_first(desk: Desk, db: Database) -> None:
    await probe(desk, "user-1", 8)

    (found,) = await fired(db, "user-1")
    assert (found.rule, found.mode, found.action) == ("probing", "enforce", "hold")
    assert await standing(db, "user-1") == "held"


async def test_a_firing_is_told_to_those_who_listen_without_content(desk: Desk, db: Database) -> None:
    await probe(desk, "user-1", 8)

    async with db.transaction() as conn:
        cursor = await conn.execute("SELECT tenant, sealed, data FROM events WHERE type = 'anomaly.fired'")
        ((tenant, sealed, data),) = await cursor.fetchall()
    assert (tenant, sealed, data["rule"]) == ("acme", False, "probing")
    assert "a prompt" not in str(data)


async def test_a_rule_in_shadow_is_recorded_and_does_nothing(desk: Desk, db: Database) -> None:
    await govern(desk, db, DEFAULT.replace("probing: {mode: enforce", "probing: {mode: shadow"))

    await probe(desk, "user-1", 8)

    assert [found.mode for found in await fired(db, "user-1")] == ["shadow"]
    assert await standing(db, "user-1") == "good"


async def test_what_is_sealed_is_seen_by_the_sealed_role_alone(desk: Desk, db: Database) -> None:
    await govern(desk, db, DEFAULT + "\nreview:\n  sealed: [political]\n")

    await probe(desk, "user-1", 8)

    assert await fired(db, "user-1", sealed=[False]) == []
    assert await fired(db, "user-1", sealed=[True]) != []


async def test_what_is_sealed_is_not_explained_beside_the_standing(desk: Desk, db: Database) -> None:
    await govern(desk, db, DEFAULT + "\nreview:\n  sealed: [political]\n")

    await probe(desk, "user-1", 8)

    async with db.transaction() as conn:
        (change,) = await strikes.changes(conn, "acme", "user-1", 10)
    assert (change.step, change.note) == ("held", "")


async def test_a_tester_is_not_watched(desk: Desk, db: Database) -> None:
    async with db.transaction() as conn:
        await accounts.get_or_create(conn, "acme", "tester")
        await accounts.set_tier(conn, "acme", "tester", "red_team")

    await probe(desk, "tester", 8)

    assert await fired(db, "tester") == []
    assert await standing(db, "tester") == "good"


async def test_a_person_sees_a_firing_once(desk: Desk, db: Database) -> None:
    await probe(desk, "user-1", 8)

    async with db.transaction() as conn:
        (found,) = await anomalies.unseen(conn, sealed=[False], limit=10)
        ann = await anomalies.mark_seen(conn, found.anomaly_id, "analyst/ann", sealed=[False])
        bob = await anomalies.mark_seen(conn, found.anomaly_id, "analyst/bob", sealed=[False])
        left = await anomalies.unseen(conn, sealed=[False], limit=10)
    assert (ann, bob, left) == (True, False, [])


async def test_strikes_of_accounts_that_share_a_card_count_together(desk: Desk, db: Database) -> None:
    names = [f"user-{n}" for n in range(5)]
    for name in names:
        await share(db, name, b"the card of all five")

    for name in names:
        for place in range(3):
            await ask(desk, name, Stop(pb.STAGE_PROMPT, refused(random.Random(name + str(place)).randbytes(48))))

    assert "rings" in {found.rule for found in await fired(db, "user-4")}
    assert {await standing(db, name) for name in names} == {"held"}


async def test_a_newcomer_to_a_suspended_ring_starts_under_watch(desk: Desk, db: Database) -> None:
    names = [f"user-{n}" for n in range(5)]
    for name in names:
        await share(db, name, b"the card of all five")
        await suspend(db, name)

    await share(db, "user-new", b"the card of all five")
    await share(db, "user-else", b"another card of one")

    assert await standing(db, "user-new") == "held"
    assert await standing(db, "user-else") == "good"


async def test_links_cannot_be_read_back_nor_matched_across_platforms(db: Database, governed: Database) -> None:
    await share(governed, "user-1", b"the card of all five")

    async with db.transaction() as conn:
        ((stored,),) = await (await conn.execute("SELECT hash FROM account_links")).fetchall()
    said = b"the card of all five".hex()
    assert bytes(stored) == KEY.of("acme", said)
    assert KEY.of("other", said) != stored
    assert Pseudonyms(bytes(32), "reporters").of("acme", said) != stored


async def test_a_model_that_draws_what_nobody_asked_for_is_told(desk: Desk, db: Database) -> None:
    drawn = Stop(pb.STAGE_OUTPUT, CLEAR, model="scenes/3")
    bad = Stop(pb.STAGE_OUTPUT, refused(b""), model="scenes/3")

    for _ in range(10):
        await ask(desk, "user-1", Stop(pb.STAGE_PROMPT, CLEAR), *[drawn] * 21, *[bad] * 4)

    async with db.transaction() as conn:
        (found,) = await anomalies.of_subject(conn, None, "scenes/3", sealed=[False], limit=10)
    assert found.rule == "spurious"
    assert await fired(db, "user-1") == []


async def test_a_platform_whose_refusals_double_is_told(governed: Database) -> None:
    batch = [Sight("acme", f"user-{place}", Seen(1e9 + place, place % 2 == 0)) for place in range(120)]

    async with governed.transaction() as conn:
        found = await watch.observe(conn, batch, (await policies.load_active(conn)).document)

    assert [(anomaly.rule, anomaly.subject) for anomaly in found] == [("tenant_block_ratio", "")]


async def test_a_history_leads_to_the_same_in_postgres_as_in_the_simulation(desk: Desk, db: Database) -> None:
    async with db.transaction() as conn:
        house = House((await policies.load_active(conn)).document, await strikes.secret(conn))
    chance = random.Random(5)
    names = [f"user-{n}" for n in range(20)]
    for name in names[:6]:
        await share(db, name, b"the card of a ring")
        house.link(name, [b"the card of a ring"], datetime.now(UTC))
    refusals = {name: 0.7 if name in names[:6] else chance.choice([0.02, 0.3, 0.8]) for name in names}
    topics = {name: chance.randbytes(48) for name in names}

    for _ in range(200):
        name = chance.choice(names)
        blocked, category = chance.random() < refusals[name], chance.choice(["hate", "hate", "political", "language"])
        near = bytearray(topics[name])
        near[chance.randrange(48)] ^= 1 << chance.randrange(8)
        sketch = bytes(near) if chance.random() < 0.6 else chance.randbytes(48)
        now = datetime.now(UTC)
        entered = await ask(desk, name, Stop(pb.STAGE_PROMPT, refused(sketch, category) if blocked else CLEAR))
        assert entered == (house.standing(name, now) not in ("cooling", "suspended", "banned"))
        if entered:
            house.record(name, sketch, now, blocked=blocked, category=category)

    meant = {name: (house.book(name).known.standing, house.book(name).fired) for name in names}
    came = {name: (await standing(db, name), {found.rule for found in await fired(db, name)}) for name in names}
    assert came == meant
    assert {step for step, _ in came.values()} == {"good", "held"}
    assert set().union(*(rules for _, rules in came.values())) == {"block_ratio", "probing", "rings"}


async def test_a_fault_costs_what_it_met_and_not_the_watch(
    desk: Desk, db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as broken:
        broken.delattr(watch, "observe")
        await probe(desk, "user-1", 1)

    await probe(desk, "user-2", 8)

    assert [found.rule for found in await fired(db, "user-2")] == ["probing"]


async def test_two_gateways_lose_nothing_that_both_saw(desk: Desk, db: Database, tmp_path: Path) -> None:
    evidence = EvidenceStore(tmp_path / "evidence", tmp_path / "evidence.key")
    other = Desk(db, evidence, desk._policy, timedelta(days=1))
    watching = asyncio.create_task(other.observer.keep_watch())
    stop = Stop(pb.STAGE_PROMPT, CLEAR, prompt="a prompt")

    await asyncio.gather(*(ask(each, "user-1", stop) for each in (desk, other) for _ in range(20)))

    watching.cancel()
    async with db.transaction() as conn:
        cursor = await conn.execute("SELECT state FROM watches WHERE kind = 'account'")
        ((state,),) = await cursor.fetchall()
    assert state["velocity"]["count"] == 40
