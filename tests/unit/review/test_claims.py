from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from uuid import UUID, uuid4

import pytest

from services.core.errors import Aborted, FailedPrecondition, NotFound, PortcullisError
from services.core.staff import Analyst, Role
from services.core.store import claims, review_events, review_items, routings
from services.core.store.claims import Claim
from services.core.store.database import Database
from services.core.store.routings import Routing

OpenCase = Callable[..., Awaitable[UUID]]
ANALYST = frozenset[Role]({"analyst"})
ALICE, BOB = Analyst("alice", ANALYST), Analyst("bob", ANALYST)
EVE = Analyst("eve", frozenset({"sealed"}))


async def take(db: Database, item_id: UUID, analyst: Analyst = ALICE, lease: float = 60) -> Claim:
    async with db.transaction() as conn:
        return await claims.claim(conn, item_id, analyst, lease)


async def test_of_two_analysts_racing_for_one_item_one_gets_it(house: Database, open_case: OpenCase) -> None:
    item_id = await open_case()

    results = await asyncio.gather(
        *(take(house, item_id, Analyst(str(n), ANALYST)) for n in range(8)), return_exceptions=True
    )

    assert sum(isinstance(result, Claim) for result in results) == 1
    assert sum(isinstance(result, Aborted) for result in results) == 7


async def test_analysts_taking_the_next_item_never_take_the_same(house: Database, open_case: OpenCase) -> None:
    opened = {await open_case() for _ in range(6)}

    async def next_one(number: int) -> UUID | None:
        async with house.transaction() as conn:
            claim = await claims.claim_next(conn, None, Analyst(str(number), ANALYST), 60)
        return claim.item.item_id if claim else None

    taken = await asyncio.gather(*(next_one(number) for number in range(9)))

    assert sorted(item for item in taken if item) == sorted(opened)


async def test_the_next_item_is_the_most_urgent_then_the_oldest(house: Database, open_case: OpenCase) -> None:
    to_look_at = await open_case(held=False)
    held, held_later = await open_case(), await open_case()

    order = []
    for _ in range(3):
        async with house.transaction() as conn:
            claim = await claims.claim_next(conn, "default", ALICE, 60)
        assert claim is not None
        order.append(claim.item.item_id)

    assert order == [held, held_later, to_look_at]


async def test_the_token_is_not_stored(house: Database, open_case: OpenCase) -> None:
    claim = await take(house, await open_case())
    async with house.transaction() as conn:
        row = await (await conn.execute("SELECT review_items::text FROM review_items")).fetchone()
    assert row is not None
    assert claim.token not in row[0]


async def test_a_lease_that_ended_frees_the_item(house: Database, open_case: OpenCase) -> None:
    item_id = await open_case()
    await take(house, item_id, ALICE, lease=-1)

    assert (await take(house, item_id, BOB)).item.claimed_by == BOB.identity


async def test_an_ended_lease_is_put_back_and_recorded(house: Database, open_case: OpenCase) -> None:
    item_id = await open_case()
    await take(house, item_id, lease=-1)

    async with house.transaction() as conn:
        assert await claims.lapse(conn, 10) == 1
        item = await review_items.get(conn, item_id)
        kinds = [event.kind for event in await review_events.of_item(conn, item_id)]

    assert item is not None
    assert item.state == "queued"
    assert kinds == ["opened", "queued", "claimed", "lapsed"]


async def test_taking_ones_own_item_again_voids_the_first_token(house: Database, open_case: OpenCase) -> None:
    item_id = await open_case()
    first, second = await take(house, item_id), await take(house, item_id)

    async with house.transaction() as conn:
        await claims.renew(conn, item_id, ALICE, second.token, 60)
        with pytest.raises(Aborted):
            await claims.renew(conn, item_id, ALICE, first.token, 60)


async def test_renewing_extends_the_lease(house: Database, open_case: OpenCase) -> None:
    claim = await take(house, await open_case())
    async with house.transaction() as conn:
        until = await claims.renew(conn, claim.item.item_id, ALICE, claim.token, 3600)
    assert claim.item.claim_expires_at is not None
    assert until > claim.item.claim_expires_at


async def test_a_released_item_can_be_taken_by_another(house: Database, open_case: OpenCase) -> None:
    claim = await take(house, await open_case())
    async with house.transaction() as conn:
        await claims.release(conn, claim.item.item_id, ALICE, claim.token, "conflict of interest")
    assert (await take(house, claim.item.item_id, BOB)).item.claimed_by == BOB.identity


async def test_deciding_ends_the_case(house: Database, open_case: OpenCase) -> None:
    claim = await take(house, await open_case())
    async with house.transaction() as conn:
        item = await claims.decide(conn, claim.item.item_id, ALICE, claim.token, "uphold", "clear", 0)
        events = await review_events.of_item(conn, item.item_id)

    assert (item.state, item.resolution, item.decided_by) == ("decided", "uphold", ALICE.identity)
    assert events[-1].detail == {"resolution": "uphold", "comment": "clear"}


@pytest.mark.parametrize(("analyst", "token"), [(BOB, None), (ALICE, "x" * 43)], ids=["stolen token", "wrong token"])
async def test_only_the_holder_with_the_token_decides(
    house: Database, open_case: OpenCase, analyst: Analyst, token: str | None
) -> None:
    claim = await take(house, await open_case())
    async with house.transaction() as conn:
        with pytest.raises(Aborted):
            await claims.decide(conn, claim.item.item_id, analyst, token or claim.token, "release", "", 0)


async def test_nobody_decides_after_the_lease(house: Database, open_case: OpenCase) -> None:
    claim = await take(house, await open_case(), lease=-1)
    async with house.transaction() as conn:
        with pytest.raises(Aborted):
            await claims.decide(conn, claim.item.item_id, ALICE, claim.token, "release", "", 0)


async def test_nobody_decides_twice(house: Database, open_case: OpenCase) -> None:
    claim = await take(house, await open_case())
    async with house.transaction() as conn:
        await claims.decide(conn, claim.item.item_id, ALICE, claim.token, "release", "", 0)
        with pytest.raises(FailedPrecondition):
            await claims.decide(conn, claim.item.item_id, ALICE, claim.token, "uphold", "", 0)


async def test_a_decided_item_cannot_be_taken(house: Database, open_case: OpenCase) -> None:
    claim = await take(house, await open_case())
    async with house.transaction() as conn:
        await claims.decide(conn, claim.item.item_id, ALICE, claim.token, "release", "", 0)
    with pytest.raises(FailedPrecondition):
        await take(house, claim.item.item_id, BOB)


async def test_an_item_on_its_way_cannot_be_taken(house: Database, open_case: OpenCase) -> None:
    with pytest.raises(FailedPrecondition):
        await take(house, await open_case(routed=False))


@pytest.mark.parametrize("routed", [True, False])
async def test_to_others_a_sealed_item_is_like_none(house: Database, open_case: OpenCase, routed: bool) -> None:
    sealed = await open_case("sexual.minors", routed=routed)

    messages = []
    for item_id in (sealed, uuid4()):
        with pytest.raises(NotFound) as caught:
            await take(house, item_id)
        messages.append((caught.value.message, caught.value.reason))

    assert messages[0] == messages[1]


async def test_the_sealed_role_takes_sealed_items_first(house: Database, open_case: OpenCase) -> None:
    await open_case()
    sealed = await open_case("sexual.minors")
    async with house.transaction() as conn:
        claim = await claims.claim_next(conn, None, EVE, 60)
    assert claim is not None
    assert claim.item.item_id == sealed


async def test_lists_show_sealed_items_to_their_role_alone(house: Database, open_case: OpenCase) -> None:
    plain, sealed = await open_case(), await open_case("sexual.minors")

    async def seen_by(analyst: Analyst) -> set[UUID]:
        async with house.transaction() as conn:
            page = await review_items.list_items(
                conn, queue=None, state=None, sealed=analyst.sees(), after=None, limit=10
            )
        return {item.item_id for item in page}

    assert await seen_by(ALICE) == {plain}
    assert await seen_by(EVE) == {plain, sealed}


async def test_pages_join_without_gap_or_overlap(house: Database, open_case: OpenCase) -> None:
    opened = [await open_case(held=bool(n % 2)) for n in range(7)]
    seen: list[UUID] = []
    after = None
    async with house.transaction() as conn:
        for _ in range(4):
            page = await review_items.list_items(conn, queue=None, state=None, sealed=[False], after=after, limit=2)
            seen += [item.item_id for item in page]
            after = review_items.place_of(page[-1])
    assert len(seen) == 7
    assert set(seen) == set(opened)


async def test_a_list_of_every_state_is_in_the_order_of_turns(house: Database, open_case: OpenCase) -> None:
    opened = [await open_case() for _ in range(4)]
    await take(house, opened[1], ALICE)
    async with house.transaction() as conn:
        page = await review_items.list_items(conn, queue=None, state=None, sealed=[False], after=None, limit=3)
    assert [item.item_id for item in page] == opened[:3]


async def test_a_list_of_one_state_of_a_queue_has_no_other(house: Database, open_case: OpenCase) -> None:
    opened = [await open_case() for _ in range(3)]
    await take(house, opened[1], ALICE)
    async with house.transaction() as conn:
        waiting = await review_items.list_items(
            conn, queue="default", state="queued", sealed=[False], after=None, limit=3, kind="content"
        )
    assert [item.item_id for item in waiting] == [opened[0], opened[2]]


async def test_routing_again_changes_nothing(house: Database, open_case: OpenCase) -> None:
    item_id = await open_case()
    async with house.transaction() as conn:
        item = await review_items.get(conn, item_id)
        assert item is not None
        assert item.due_at is not None
        again = await routings.route(conn, item_id, Routing("default", 1, item.due_at, item.due_at), "review")
        assert not again
        assert await review_items.get(conn, item_id) == item


async def test_errors_name_no_other_analyst(house: Database, open_case: OpenCase) -> None:
    item_id = await open_case()
    await take(house, item_id, ALICE)
    with pytest.raises(PortcullisError) as caught:
        await take(house, item_id, BOB)
    assert "alice" not in caught.value.message
