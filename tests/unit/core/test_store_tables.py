from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from uuid import UUID, uuid4

import psycopg
import pytest

from services.core.errors import Aborted, AlreadyExists, InvalidInput
from services.core.evidence import Blob
from services.core.signals import BankMatch, Box, Lineage, ModelVersion, Signal, TextSpan
from services.core.store import accounts, decisions, evidence_rows, outbox, requests, review_items, tenants
from services.core.store.database import Database
from services.core.store.decisions import Decision
from services.core.store.review_items import NewReviewItem
from services.core.verdicts import Reason, Verdict

DIGEST = bytes(range(32))
REASON = Reason(
    "violence",
    "shows or praises violence",
    0.8,
    0.7,
    Verdict.REVIEW,
    evidence=(TextSpan(1, 4), Box(1, 2, 3, 4), BankMatch("terms", "t1", 1), Lineage(2, ("a", "b"))),
)


def a_decision(tenant: str = "acme") -> Decision:
    return Decision(
        uuid4(),
        uuid4(),
        tenant,
        "user-1",
        "create",
        Verdict.REVIEW,
        (REASON,),
        (Signal("violence", 0.8, "linear/1", TextSpan(1, 4, "undressed")),),
        "ab" * 32,
        (ModelVersion("linear", "1", "cd" * 32),),
        {"prompt": "ef" * 32},
    )


def an_item(category: str = "violence") -> NewReviewItem:
    reason = Reason(category, "says why", 0.8, 0.7, Verdict.REVIEW)
    return NewReviewItem(uuid4(), "prompt", Verdict.REVIEW, (reason,), held=True, sealed=category == "sexual.minors")


@pytest.fixture
async def house(db: Database) -> Database:
    async with db.transaction() as conn:
        await tenants.create_tenant(conn, "acme")
        await tenants.create_tenant(conn, "other")
    return db


async def test_a_fresh_key_opens_its_tenant(house: Database) -> None:
    async with house.transaction() as conn:
        key = await tenants.create_api_key(conn, "acme")
        found = await tenants.authenticate(conn, key)

    assert found is not None
    assert found.tenant == "acme"


async def test_a_key_is_not_stored_in_plain(house: Database) -> None:
    async with house.transaction() as conn:
        key = await tenants.create_api_key(conn, "acme")
        row = await (await conn.execute("SELECT api_keys::text FROM api_keys")).fetchone()

    assert row is not None
    assert key.split("_", 2)[2] not in row[0]


@pytest.mark.parametrize(
    "change", [lambda key: key + "x", lambda key: key[:-1], lambda key: "", lambda key: "pk__\x00"]
)
async def test_any_other_key_opens_nothing(house: Database, change: Callable[[str], str]) -> None:
    async with house.transaction() as conn:
        key = await tenants.create_api_key(conn, "acme")
        assert await tenants.authenticate(conn, change(key)) is None


async def test_a_revoked_key_opens_nothing(house: Database) -> None:
    async with house.transaction() as conn:
        key = await tenants.create_api_key(conn, "acme")
        await tenants.revoke_api_key(conn, key.split("_")[1])
        assert await tenants.authenticate(conn, key) is None


@pytest.mark.parametrize("name", ["", "Acme", "a b", "x" * 65, "acme\n"])
async def test_a_bad_tenant_name_is_refused(house: Database, name: str) -> None:
    async with house.transaction() as conn:
        with pytest.raises(InvalidInput):
            await tenants.create_tenant(conn, name)


async def test_a_new_account_is_new_and_in_good_standing(house: Database) -> None:
    async with house.transaction() as conn:
        made = await accounts.get_or_create(conn, "acme", "user-1")
        again = await accounts.get_or_create(conn, "acme", "user-1")

    assert (made.tier, made.standing, made.fresh) == ("new", "good", True)
    assert again == replace(made, fresh=False)


async def test_a_tier_is_remembered(house: Database) -> None:
    async with house.transaction() as conn:
        await accounts.get_or_create(conn, "acme", "user-1")
        await accounts.set_tier(conn, "acme", "user-1", "trusted")
        assert (await accounts.get_or_create(conn, "acme", "user-1")).tier == "trusted"


async def test_a_decision_reads_back_as_it_was_recorded(house: Database) -> None:
    decision = a_decision()
    async with house.transaction() as conn:
        await decisions.record(conn, decision, [])
        found = await decisions.get(conn, "acme", decision.decision_id)

    assert found is not None
    assert (found.reasons, found.signals, found.models) == (decision.reasons, decision.signals, decision.models)


async def test_another_tenants_decision_is_not_found(house: Database) -> None:
    decision = a_decision()
    async with house.transaction() as conn:
        await decisions.record(conn, decision, [])
        assert await decisions.get(conn, "other", decision.decision_id) is None


@pytest.mark.parametrize("change", ["UPDATE decisions SET verdict = 1", "DELETE FROM decisions", "TRUNCATE decisions"])
async def test_decisions_are_append_only(house: Database, change: str) -> None:
    async with house.transaction() as conn:
        await decisions.record(conn, a_decision(), [])

    with pytest.raises(psycopg.IntegrityError, match="append-only"):
        async with house.transaction() as conn:
            await conn.execute(change)


async def test_a_decision_lands_in_the_partition_of_its_month(house: Database) -> None:
    async with house.transaction() as conn:
        await decisions.record(conn, a_decision(), [])
        row = await (await conn.execute("SELECT count(*) FROM decisions_default")).fetchone()
    assert row == (0,)


async def test_partitions_are_not_made_over_rows_of_the_default_one(house: Database) -> None:
    async with house.transaction() as conn:
        row = await (await conn.execute("SELECT to_char(now() AT TIME ZONE 'UTC', 'YYYYMM')")).fetchone()
        assert row is not None
        await conn.execute(f"DROP TABLE decisions_{row[0]}")
        await decisions.record(conn, a_decision(), [])
        await conn.execute("SELECT create_decision_partitions(2)")
        row = await (await conn.execute("SELECT count(*) FROM decisions_default")).fetchone()
    assert row == (1,)


async def test_items_and_messages_live_and_die_with_their_decision(house: Database) -> None:
    with contextlib.suppress(ValueError):
        async with house.transaction() as conn:
            await decisions.record(conn, a_decision(), [an_item()])
            raise ValueError

    async with house.transaction() as conn:
        assert await outbox.claim(conn, 10) == []
        assert await review_items.figures(conn) == []


async def test_an_item_brings_its_message(house: Database) -> None:
    decision, item = a_decision(), an_item()
    async with house.transaction() as conn:
        await decisions.record(conn, decision, [item])
        messages = await outbox.claim(conn, 10)
        ids = await review_items.of_decision(conn, decision.decision_id)

    assert [(message.topic, message.subject) for message in messages] == [(outbox.ROUTE_ITEM, item.item_id)]
    assert ids == [item.item_id]


@pytest.mark.parametrize(("category", "sealed"), [("violence", False), ("sexual.minors", True)])
async def test_the_gravest_category_seals_an_item_at_once(house: Database, category: str, sealed: bool) -> None:
    item = an_item(category)
    async with house.transaction() as conn:
        await decisions.record(conn, a_decision(), [item])
        found = await review_items.get(conn, item.item_id)

    assert found is not None
    assert found.sealed is sealed


async def test_two_relays_never_claim_the_same_message(house: Database) -> None:
    async with house.transaction() as conn:
        await outbox.add(conn, outbox.ROUTE_ITEM, [uuid4(), uuid4(), uuid4()])

    async with house.transaction() as one, house.transaction() as two:
        first, second = await outbox.claim(one, 2), await outbox.claim(two, 10)

    assert (len(first), len(second)) == (2, 1)


async def test_a_published_message_is_not_claimed_again(house: Database) -> None:
    async with house.transaction() as conn:
        await outbox.add(conn, outbox.ROUTE_ITEM, [uuid4()])
        await outbox.mark_published(conn, await outbox.claim(conn, 10))
        assert await outbox.claim(conn, 10) == []


async def test_what_stalls_is_told_again(house: Database) -> None:
    async with house.transaction() as conn:
        await decisions.record(conn, a_decision(), [an_item()])
        await outbox.mark_published(conn, await outbox.claim(conn, 10))
        await conn.execute("UPDATE outbox SET published_at = now() - interval '1 minute'")

        assert await outbox.revive_stalled(conn, 3600) == 0
        assert await outbox.revive_stalled(conn, 30) == 1
        assert len(await outbox.claim(conn, 10)) == 1


async def begin(db: Database, decision: UUID, digest: bytes = DIGEST, lease: float = 60) -> object:
    async with db.transaction() as conn:
        return await requests.begin(conn, "acme", UUID(int=7), digest, decision, lease)


async def test_a_request_runs_once(house: Database) -> None:
    first, second = uuid4(), uuid4()

    assert await begin(house, first) == requests.Begun(first, 1)
    again = await begin(house, second)

    assert isinstance(again, requests.Running)
    assert again.decision_id == first


async def test_of_many_senders_at_once_one_runs_it(house: Database) -> None:
    results = await asyncio.gather(*(begin(house, uuid4()) for _ in range(8)))

    assert sorted(type(result).__name__ for result in results) == ["Begun", *["Running"] * 7]


async def test_an_answered_request_gets_the_same_answer(house: Database) -> None:
    decision, answer = uuid4(), uuid4()
    await begin(house, decision)
    async with house.transaction() as conn:
        await requests.answer(conn, "acme", UUID(int=7), 1, answer)

    assert await begin(house, uuid4()) == requests.Answered(decision, answer)


async def test_other_content_under_the_same_id_is_refused(house: Database) -> None:
    await begin(house, uuid4())
    with pytest.raises(AlreadyExists):
        await begin(house, uuid4(), digest=bytes(32))


async def test_a_dead_gateways_request_is_taken_over_under_its_decision_id(house: Database) -> None:
    first = uuid4()
    await begin(house, first, lease=-1)

    assert await begin(house, uuid4()) == requests.Begun(first, 2)


async def test_the_gateway_that_lost_its_request_cannot_answer(house: Database) -> None:
    await begin(house, uuid4(), lease=-1)
    await begin(house, uuid4())

    async with house.transaction() as conn:
        with pytest.raises(Aborted):
            await requests.answer(conn, "acme", UUID(int=7), 1, uuid4())


async def test_a_request_that_was_given_up_can_begin_again(house: Database) -> None:
    await begin(house, uuid4())
    async with house.transaction() as conn:
        await requests.give_up(conn, "acme", UUID(int=7), 1)
    decision = uuid4()

    assert await begin(house, decision) == requests.Begun(decision, 1)


async def test_a_request_id_is_free_again_after_a_day(house: Database) -> None:
    await begin(house, uuid4())
    decision = uuid4()
    async with house.transaction() as conn:
        await conn.execute("UPDATE requests SET expires_at = now() - interval '1 second'")

    assert await begin(house, decision, digest=bytes(32)) == requests.Begun(decision, 2)


async def test_expired_evidence_is_forgotten_unless_a_case_needs_it(house: Database) -> None:
    blob, needed = Blob(uuid4(), DIGEST), Blob(uuid4(), DIGEST)
    async with house.transaction() as conn:
        for each in (blob, needed):
            await evidence_rows.record(conn, "acme", "prompt", each, timedelta(seconds=-1))
        item = NewReviewItem(uuid4(), "prompt", Verdict.REVIEW, (REASON,), held=True, sealed=False, prompt=needed.id)
        await decisions.record(conn, a_decision(), [item])

        assert await evidence_rows.forget_expired(conn, 10) == [blob.id]
        assert await evidence_rows.known(conn, [blob.id, needed.id]) == {needed.id}
