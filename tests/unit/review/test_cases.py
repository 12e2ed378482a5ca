from __future__ import annotations

from collections.abc import Awaitable, Callable
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.core.errors import FailedPrecondition, InvalidInput
from services.core.staff import Analyst
from services.core.store import cases, claims, review_items
from services.core.store.database import Database
from services.core.store.review_items import ReviewItem
from services.core.verdicts import Verdict
from services.review import tasks

OpenCase = Callable[..., Awaitable[UUID]]
Route = Callable[..., Awaitable[UUID]]
ALICE, BOB = Analyst("alice", frozenset({"analyst"})), Analyst("bob", frozenset({"analyst"}))
TEXT = bytes(range(100, 148))
PICTURE = bytes(range(32))


def changed(sketch: bytes, bits: int) -> bytes:
    """Another sketch, so many bits away, spread evenly."""
    step = len(sketch) * 8 // bits
    return (int.from_bytes(sketch) ^ sum(1 << place * step for place in range(bits))).to_bytes(len(sketch))


@pytest.fixture
def arrive(house: Database, open_case: OpenCase) -> Route:
    """Opens a case and lets the worker route it."""

    async def arrived(sketch: bytes, **how: object) -> UUID:
        item_id = await open_case(sketch=sketch, routed=False, **how)
        await tasks.route_pending(house, item_id)
        return item_id

    return arrived


async def leader_of(house: Database, item_id: UUID) -> UUID | None:
    return (await look_at(house, item_id)).leader


async def look_at(house: Database, item_id: UUID) -> ReviewItem:
    async with house.transaction() as conn:
        item = await review_items.get(conn, item_id)
    assert item is not None
    return item


@pytest.mark.parametrize(("sketch", "bits"), [(TEXT, 10), (PICTURE, 10)], ids=["text", "picture"])
async def test_near_duplicates_wait_as_one_case(house: Database, arrive: Route, sketch: bytes, bits: int) -> None:
    first, second = await arrive(sketch), await arrive(changed(sketch, bits))
    assert await leader_of(house, second) == first


@pytest.mark.parametrize(("sketch", "bits"), [(TEXT, 43), (PICTURE, 32)], ids=["text", "picture"])
async def test_what_differs_more_is_a_case_of_its_own(house: Database, arrive: Route, sketch: bytes, bits: int) -> None:
    await arrive(sketch)
    assert await leader_of(house, await arrive(changed(sketch, bits))) is None


async def test_items_without_a_sketch_are_never_grouped(house: Database, arrive: Route) -> None:
    await arrive(b"")
    assert await leader_of(house, await arrive(b"")) is None


@pytest.mark.parametrize("how", [{"tenant": "other"}, {"kind": "report"}, {"category": "sexual.minors"}], ids=str)
async def test_only_what_is_of_one_place_is_grouped(house: Database, arrive: Route, how: dict[str, str]) -> None:
    await arrive(TEXT)
    assert await leader_of(house, await arrive(TEXT, **how)) is None


async def test_nothing_joins_a_case_that_is_decided(house: Database, arrive: Route) -> None:
    first = await arrive(TEXT)
    async with house.transaction() as conn:
        claim = await claims.claim(conn, first, ALICE, 60)
        await claims.decide(conn, first, ALICE, claim.token, "uphold", "", 0)

    assert await leader_of(house, await arrive(TEXT)) is None


async def test_nothing_joins_a_case_that_waits_for_a_second_look(house: Database, arrive: Route) -> None:
    first = await arrive(TEXT, verdict=Verdict.BLOCK)
    async with house.transaction() as conn:
        claim = await claims.claim(conn, first, ALICE, 60)
        await claims.decide(conn, first, ALICE, claim.token, "release", "", 0)

    assert await leader_of(house, await arrive(TEXT)) is None


async def test_followers_are_not_handed_out(house: Database, arrive: Route) -> None:
    first, second = await arrive(TEXT), await arrive(TEXT)

    async with house.transaction() as conn:
        claim = await claims.claim_next(conn, "default", ALICE, 60)
        assert await claims.claim_next(conn, "default", BOB, 60) is None
        with pytest.raises(FailedPrecondition, match=str(first)):
            await claims.claim(conn, second, BOB, 60)

    assert claim is not None
    assert claim.item.item_id == first


async def test_only_those_that_are_named_are_decided_too(house: Database, arrive: Route) -> None:
    first, named, left, left_too = [await arrive(TEXT) for _ in range(4)]

    async with house.transaction() as conn:
        claim = await claims.claim(conn, first, ALICE, 60)
        await claims.decide(conn, first, ALICE, claim.token, "uphold", "", 0, also=[named])

    items = [await look_at(house, each) for each in (first, named, left, left_too)]
    assert [item.state for item in items] == ["decided", "decided", "queued", "queued"]
    assert items[0].batch == items[1].batch
    assert (items[2].leader, items[3].leader) == (None, left)


async def test_those_that_are_left_can_be_joined_again(house: Database, arrive: Route) -> None:
    first, left = await arrive(TEXT), await arrive(TEXT)
    async with house.transaction() as conn:
        claim = await claims.claim(conn, first, ALICE, 60)
        await claims.decide(conn, first, ALICE, claim.token, "uphold", "", 0)

    assert await leader_of(house, await arrive(TEXT)) == left


async def test_what_must_be_looked_at_again_stays_together(house: Database, arrive: Route) -> None:
    first, second = [await arrive(TEXT, verdict=Verdict.BLOCK) for _ in range(2)]
    async with house.transaction() as conn:
        claim = await claims.claim(conn, first, ALICE, 60)
        await claims.decide(conn, first, ALICE, claim.token, "release", "", 0, also=[second])
        again = await claims.claim_next(conn, "default", BOB, 60)
        assert again is not None
        await claims.decide(conn, first, BOB, again.token, "release", "", 0, also=[second])

    assert [(await look_at(house, each)).state for each in (first, second)] == ["decided", "decided"]


async def test_an_item_of_another_case_cannot_be_named(house: Database, arrive: Route) -> None:
    first, other = await arrive(TEXT), await arrive(PICTURE)

    async with house.transaction() as conn:
        claim = await claims.claim(conn, first, ALICE, 60)
        with pytest.raises(InvalidInput, match="also"):
            await claims.decide(conn, first, ALICE, claim.token, "uphold", "", 0, also=[other])

    assert (await look_at(house, other)).state == "queued"


async def test_a_case_knows_its_size_and_its_others(house: Database, arrive: Route) -> None:
    first, second, third = [await arrive(TEXT) for _ in range(3)]
    items = [await look_at(house, each) for each in (first, second)]

    async with house.transaction() as conn:
        sizes = await cases.sizes(conn, items)
        others = await cases.others(conn, items[1])

    assert sizes == {first: 3, second: 3}
    assert [item.item_id for item in others] == [first, third]


@given(sketch=st.binary(min_size=48, max_size=48), places=st.sets(st.integers(0, 383), max_size=23))
def test_what_differs_in_fewer_bits_than_pieces_shares_a_piece(sketch: bytes, places: set[int]) -> None:
    other = (int.from_bytes(sketch) ^ sum(1 << place for place in places)).to_bytes(48)
    mine, theirs = (set(cases.cut(each, "place")) for each in (sketch, other))
    assert mine & theirs
