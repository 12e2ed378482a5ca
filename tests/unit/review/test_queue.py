"""Whom a queue hands what: roles, skips, lost queues, ageing, and two hundred at once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from uuid import UUID

import pytest

from services.core.errors import Aborted, FailedPrecondition, NotFound, PermissionDenied
from services.core.policy.document import load_policy
from services.core.policy.review_rules import ReviewRules
from services.core.staff import Analyst
from services.core.store import claims, policies, review_events, review_items
from services.core.store.claims import Claim
from services.core.store.database import Database
from services.review import upkeep

OpenCase = Callable[..., Awaitable[UUID]]
ALICE, BOB = Analyst("alice", frozenset({"analyst"})), Analyst("bob", frozenset({"analyst"}))
SUE = Analyst("sue", frozenset({"senior"}))
EVE = Analyst("eve", frozenset({"sealed"}))
POLICY = "name: test\ndefaults:\n  review: 0.5\n  block: 0.8\n"


async def next_of(house: Database, analyst: Analyst, queue: str | None = None) -> Claim | None:
    async with house.transaction() as conn:
        return await claims.claim_next(conn, queue, analyst, 60)


async def move(house: Database, item_id: UUID, queue: str, hours: float = 0) -> None:
    async with house.transaction() as conn:
        await conn.execute(
            "UPDATE review_items SET queue = %s, turn_at = turn_at - make_interval(hours => %s) WHERE item_id = %s",
            [queue, int(hours), item_id],
        )


async def skip(house: Database, item_id: UUID, analyst: Analyst) -> None:
    async with house.transaction() as conn:
        claim = await claims.claim(conn, item_id, analyst, 60)
        await claims.skip(conn, item_id, analyst, claim.token, "I know this person")


async def test_two_hundred_claimants_never_take_one_item_twice(house: Database, open_case: OpenCase) -> None:
    opened = {await open_case() for _ in range(60)}

    taken = await asyncio.gather(
        *(next_of(house, Analyst(str(number), frozenset({"analyst"})), "default") for number in range(200))
    )

    items = [claim.item.item_id for claim in taken if claim]
    assert sorted(items) == sorted(opened)


async def test_what_one_skipped_is_offered_to_others_alone(house: Database, open_case: OpenCase) -> None:
    skipped, following = await open_case(), await open_case()
    await skip(house, skipped, ALICE)

    mine, theirs = await next_of(house, ALICE), await next_of(house, BOB)

    assert mine is not None
    assert theirs is not None
    assert (mine.item.item_id, theirs.item.item_id) == (following, skipped)


async def test_what_one_skipped_can_still_be_taken_by_its_id(house: Database, open_case: OpenCase) -> None:
    item_id = await open_case()
    await skip(house, item_id, ALICE)

    async with house.transaction() as conn:
        claim = await claims.claim(conn, item_id, ALICE, 60)
        last = (await review_events.of_item(conn, item_id))[-2]

    assert claim.item.claimed_by == ALICE.identity
    assert (last.kind, last.detail) == ("skipped", {"reason": "I know this person"})


async def test_only_a_queues_roles_take_from_it(house: Database, open_case: OpenCase) -> None:
    item_id = await open_case(kind="appeal")

    with pytest.raises(PermissionDenied, match="lead, senior"):
        await next_of(house, ALICE, "appeals")
    async with house.transaction() as conn:
        with pytest.raises(PermissionDenied, match="lead, senior"):
            await claims.claim(conn, item_id, ALICE, 60)

    assert await next_of(house, ALICE) is None
    assert await next_of(house, SUE, "appeals") is not None


async def test_the_sealed_queue_is_empty_to_others(house: Database, open_case: OpenCase) -> None:
    await open_case("sexual.minors")

    assert await next_of(house, SUE, "sealed") is None
    assert await next_of(house, SUE, "no-such-queue") is None


async def test_a_queue_that_the_policy_lost_is_emptied_by_seniors(house: Database, open_case: OpenCase) -> None:
    item_id = await open_case()
    await move(house, item_id, "gone")

    assert await next_of(house, ALICE) is None
    assert await next_of(house, SUE) is not None


async def test_without_a_queue_the_earliest_turn_of_ones_own_queues_comes_first(
    house: Database, open_case: OpenCase
) -> None:
    await open_case()
    earlier, earliest = await open_case(kind="report"), await open_case(kind="appeal")
    await move(house, earlier, "reports", hours=50)
    await move(house, earliest, "appeals", hours=100)

    alices, sues = await next_of(house, ALICE), await next_of(house, SUE)

    assert alices is not None
    assert sues is not None
    assert (alices.item.item_id, sues.item.item_id) == (earlier, earliest)


async def test_a_decision_after_anothers_is_refused(house: Database, open_case: OpenCase) -> None:
    item_id = await open_case()
    async with house.transaction() as conn:
        lost = await claims.claim(conn, item_id, ALICE, -1)
    async with house.transaction() as conn:
        claim = await claims.claim(conn, item_id, BOB, 60)
        with pytest.raises(Aborted):
            await claims.decide(conn, item_id, ALICE, lost.token, "release", "", 0)
        await claims.decide(conn, item_id, BOB, claim.token, "uphold", "", 0)
        with pytest.raises(FailedPrecondition, match="decided already"):
            await claims.decide(conn, item_id, ALICE, lost.token, "release", "", 0)


@pytest.mark.parametrize("call", ["claim", "renew", "skip"])
async def test_a_sealed_item_is_like_none_to_every_call(house: Database, open_case: OpenCase, call: str) -> None:
    item_id = await open_case("sexual.minors")
    async with house.transaction() as conn:
        calls = {
            "claim": lambda: claims.claim(conn, item_id, ALICE, 60),
            "renew": lambda: claims.renew(conn, item_id, ALICE, "x", 60),
            "skip": lambda: claims.skip(conn, item_id, ALICE, "x", "why"),
        }
        with pytest.raises(NotFound):
            await calls[call]()


async def activate(house: Database, review: str) -> ReviewRules:
    policy = load_policy(POLICY + review, "test")
    async with house.transaction() as conn:
        await policies.put(conn, policy, "test")
        await policies.activate(conn, policy.id, "test", await review_items.now(conn))
    return policy.document.review


LATE = (
    "review:\n  queues:\n    late: {}\n  routes:\n"
    "    - {queue: late, priority: 0, older_than_hours: 6}\n    - {queue: default}\n"
)


async def test_what_has_waited_too_long_is_moved_with_an_event(house: Database, open_case: OpenCase) -> None:
    rules = await activate(house, LATE)
    old, young = await open_case(rules=rules, hours=6), await open_case(rules=rules)

    await upkeep.sweep(house, stalled_seconds=60)

    async with house.transaction() as conn:
        items = [await review_items.get(conn, item_id) for item_id in (old, young)]
        last = (await review_events.of_item(conn, old))[-1]
    assert [item and item.queue for item in items] == ["late", "default"]
    assert (last.kind, last.detail["queue"]) == ("rerouted", "late")


async def test_what_is_claimed_is_not_moved_under_its_claimant(house: Database, open_case: OpenCase) -> None:
    rules = await activate(house, LATE)
    item_id = await open_case(rules=rules, hours=6)
    async with house.transaction() as conn:
        await claims.claim(conn, item_id, ALICE, 60, rules)

    await upkeep.sweep(house, stalled_seconds=60)

    async with house.transaction() as conn:
        item = await review_items.get(conn, item_id)
    assert item is not None
    assert item.queue == "default"


async def test_every_step_is_told_with_the_right_seal(house: Database, open_case: OpenCase) -> None:
    plain, sealed = await open_case(), await open_case("sexual.minors")
    for item_id, analyst in ((plain, ALICE), (sealed, EVE)):
        async with house.transaction() as conn:
            claim = await claims.claim(conn, item_id, analyst, 60)
            await claims.release(conn, item_id, analyst, claim.token, "")

    async with house.transaction() as conn:
        cursor = await conn.execute("SELECT subject, type, sealed FROM events ORDER BY event_id")
        told = await cursor.fetchall()

    steps = ["item.opened", "item.queued", "item.claimed", "item.released"]
    assert [row[1:] for row in told if row[0] == str(plain)] == [(step, False) for step in steps]
    assert [row[1:] for row in told if row[0] == str(sealed)] == [(step, True) for step in steps]
