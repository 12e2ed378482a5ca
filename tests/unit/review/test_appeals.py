"""Appeals in the books: what can be appealed, who may not look again, and what deciding one does."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from services.core.errors import FailedPrecondition
from services.core.evidence import Blob
from services.core.policy.standing_rules import StandingRules
from services.core.staff import Analyst
from services.core.standing import conduct
from services.core.store import (
    accounts,
    appeals,
    claims,
    evidence_rows,
    lessons,
    policies,
    review_items,
    routings,
    stops,
)
from services.core.store.appeals import Appeal
from services.core.store.database import Connection, Database
from services.core.store.review_items import NewReviewItem, Resolution
from services.core.store.routings import Routing
from services.core.store.stops import Stop
from services.core.verdicts import Reason, Verdict
from services.review.complaints import settle_appeal

OpenCase = Callable[..., Awaitable[UUID]]
ALICE, BOB = (Analyst(name, frozenset({"senior"})) for name in ("alice", "bob"))
REASON = Reason("violence", "says why", 0.9, 0.8, Verdict.BLOCK)


def stop(decision_id: UUID, prompt: UUID | None, *, held: bool = False) -> Stop:
    verdict = Verdict.REVIEW if held else Verdict.BLOCK
    return Stop(
        decision_id, 0, "acme", "user-1", "prompt", 0, verdict, held, (REASON,), (), (), "ab" * 32, {}, b"", prompt
    )


async def decision_of(conn: Connection, item_id: UUID) -> UUID:
    item = await review_items.get(conn, item_id)
    assert item is not None
    return item.decision_id


async def appeal(
    conn: Connection, decision_id: UUID | None, about: UUID | None = None, prompt: UUID | None = None
) -> Appeal:
    """An appeal with its case in a queue."""
    await accounts.get_or_create(conn, "acme", "user-1")
    about = about or decision_id or uuid4()
    item = NewReviewItem(
        uuid4(), "prompt", Verdict.BLOCK, (REASON,), held=False, sealed=False, kind="appeal", prompt=prompt
    )
    await review_items.open_items(conn, about, "acme", "user-1", [item])
    made = Appeal(uuid4(), "acme", "user-1", decision_id, item.item_id, None, datetime.now(UTC) + timedelta(days=3))
    await appeals.add(conn, made, about)
    await routings.route(conn, item.item_id, Routing("appeals", 5, made.due_at, datetime.now(UTC)), "review")
    return made


async def settle(conn: Connection, made: Appeal, resolution: Resolution) -> None:
    item = await review_items.get(conn, made.item_id)
    assert item is not None
    policy = await policies.load_active(conn)
    await settle_appeal(conn, replace(item, resolution=resolution, decided_by="analyst/bob"), policy)


async def test_a_refusal_by_the_policy_can_be_appealed(house: Database) -> None:
    blocked = stop(uuid4(), uuid4())
    async with house.transaction() as conn:
        await stops.record(conn, [blocked])

        assert await appeals.refused(conn, "acme", blocked.decision_id) == [blocked]
        assert await appeals.refused(conn, "other", blocked.decision_id) == []


@pytest.mark.parametrize(
    ("resolution", "settled", "refused"), [("uphold", True, 1), ("uphold", False, 0), ("release", True, 0)]
)
async def test_what_was_held_is_a_refusal_once_a_person_has_upheld_it_for_good(
    house: Database, open_case: OpenCase, resolution: Resolution, settled: bool, refused: int
) -> None:
    prompt = uuid4()
    item_id = await open_case(prompt=prompt)
    async with house.transaction() as conn:
        decision_id = await decision_of(conn, item_id)
        await stops.record(conn, [stop(decision_id, prompt, held=True)])
        claim = await claims.claim(conn, item_id, ALICE, 60)
        await claims.decide(conn, item_id, ALICE, claim.token, resolution, "", 0)
        if settled:
            await review_items.settle(conn, item_id)

        assert len(await appeals.refused(conn, "acme", decision_id)) == refused


async def test_whoever_decided_before_may_not_look_again(house: Database, open_case: OpenCase) -> None:
    item_id = await open_case()
    async with house.transaction() as conn:
        claim = await claims.claim(conn, item_id, ALICE, 60)
        await claims.decide(conn, item_id, ALICE, claim.token, "uphold", "", 0)
        made = await appeal(conn, await decision_of(conn, item_id))

        with pytest.raises(FailedPrecondition) as caught:
            await claims.claim(conn, made.item_id, ALICE, 60)
        assert caught.value.reason == "ITEM_JUDGED"
        assert await claims.claim_next(conn, None, ALICE, 60) is None
        assert (await claims.claim(conn, made.item_id, BOB, 60)).item.item_id == made.item_id


async def test_whoever_suspended_an_account_does_not_decide_its_appeal(house: Database) -> None:
    now = datetime.now(UTC)
    async with house.transaction() as conn:
        await accounts.get_or_create(conn, "acme", "user-1")
        until = now + timedelta(days=30)
        how = {"who": ALICE.identity, "rules": StandingRules(), "now": now, "confirmed": True}
        await conduct.impose(conn, "acme", "user-1", "suspended", "person", until, **how)
        made = await appeal(conn, None)

        assert await claims.claim_next(conn, None, ALICE, 60) is None
        assert (await claims.claim(conn, made.item_id, BOB, 60)).item.item_id == made.item_id


async def test_a_decision_is_appealed_once(house: Database) -> None:
    decision_id = uuid4()
    async with house.transaction() as conn:
        await appeal(conn, decision_id)

        with pytest.raises(FailedPrecondition) as caught:
            await appeal(conn, decision_id)

    assert caught.value.reason == "APPEALED_BEFORE"


@pytest.mark.parametrize(("resolution", "state"), [("release", "granted"), ("uphold", "denied")])
async def test_the_tenant_is_told_what_became_of_it(house: Database, resolution: Resolution, state: str) -> None:
    decision_id = uuid4()
    async with house.transaction() as conn:
        made = await appeal(conn, decision_id)

        for _ in range(2):  # a second time changes and tells nothing
            await settle(conn, made, resolution)

        decided = await appeals.of_decision(conn, "acme", decision_id)
        told = await conn.execute("SELECT tenant, subject, data->>'state' FROM events WHERE type = 'appeal.decided'")
        assert decided is not None
        assert decided.state == state
        assert await told.fetchall() == [("acme", str(made.appeal_id), state)]


@pytest.mark.parametrize(("resolution", "standing"), [("release", "good"), ("uphold", "suspended")])
async def test_a_granted_appeal_ends_a_suspension(house: Database, resolution: Resolution, standing: str) -> None:
    async with house.transaction() as conn:
        made = await appeal(conn, None)
        await conn.execute("UPDATE accounts SET standing = 'suspended'")

        await settle(conn, made, resolution)

        account = await accounts.get(conn, "acme", "user-1")
        assert account is not None
        assert account.standing == standing


async def test_a_suspension_is_appealed_once_and_a_later_one_again(house: Database) -> None:
    async with house.transaction() as conn:
        made = await appeal(conn, None)
        await conn.execute("UPDATE accounts SET standing = 'suspended'")
        first = await appeals.suspension(conn, "acme", "user-1")
        await settle(conn, made, "uphold")
        denied = await appeals.suspension(conn, "acme", "user-1")
        await conn.execute("UPDATE accounts SET standing_since = now() + interval '1 second'")
        later = await appeals.suspension(conn, "acme", "user-1")

    assert [each and each.appealed for each in (first, denied, later)] == [True, True, False]


async def test_an_account_in_good_standing_has_no_suspension(house: Database) -> None:
    async with house.transaction() as conn:
        await accounts.get_or_create(conn, "acme", "user-1")

        assert await appeals.suspension(conn, "acme", "user-1") is None


async def test_a_granted_appeal_is_a_lesson(house: Database, open_case: OpenCase) -> None:
    blob = Blob(uuid4(), bytes(32))
    item_id = await open_case()
    async with house.transaction() as conn:
        await evidence_rows.record(conn, "acme", "prompt", blob, timedelta(days=1))
        made = await appeal(conn, None, about=await decision_of(conn, item_id), prompt=blob.id)
        await conn.execute(
            "UPDATE review_items SET state = 'decided', resolution = 'release', decided_at = now() WHERE item_id = %s",
            [made.item_id],
        )

        learned = await lessons.since(conn, timedelta(days=1), 10)

    assert [(lesson.prompt, lesson.resolution) for lesson in learned] == [(blob.id, "release")]
