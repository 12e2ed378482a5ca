from __future__ import annotations

from collections.abc import Awaitable, Callable
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.core.errors import Aborted, FailedPrecondition, PermissionDenied
from services.core.staff import Analyst
from services.core.store import claims, comments, review_events, review_items, rounds
from services.core.store.database import Database
from services.core.store.review_items import Resolution, ReviewItem
from services.core.verdicts import Verdict
from services.review import tasks

OpenCase = Callable[..., Awaitable[UUID]]
ALICE, BOB = Analyst("alice", frozenset({"analyst"})), Analyst("bob", frozenset({"analyst"}))
SUE = Analyst("sue", frozenset({"senior"}))
EVE, FAY, GIL = (Analyst(name, frozenset({"sealed"})) for name in ("eve", "fay", "gil"))
LEAD = Analyst("lea", frozenset({"lead"}))


async def judge(
    house: Database, item_id: UUID, analyst: Analyst, resolution: Resolution, undo: float = 0
) -> ReviewItem:
    async with house.transaction() as conn:
        claim = await claims.claim(conn, item_id, analyst, 60)
        return await claims.decide(conn, item_id, analyst, claim.token, resolution, "why", undo)


async def look_at(house: Database, item_id: UUID) -> ReviewItem:
    async with house.transaction() as conn:
        item = await review_items.get(conn, item_id)
    assert item is not None
    return item


async def told(house: Database, item_id: UUID) -> list[str]:
    async with house.transaction() as conn:
        cursor = await conn.execute("SELECT type FROM events WHERE subject = %s ORDER BY event_id", [str(item_id)])
        return [row[0] for row in await cursor.fetchall()]


async def test_one_person_ends_an_ordinary_case(house: Database, open_case: OpenCase) -> None:
    item = await judge(house, await open_case(), ALICE, "uphold")
    assert item.state == "decided"


async def test_what_was_blocked_is_not_released_by_one_person(house: Database, open_case: OpenCase) -> None:
    item_id = await open_case(verdict=Verdict.BLOCK)

    first = await judge(house, item_id, ALICE, "release")
    second = await judge(house, item_id, BOB, "release")

    assert (first.state, second.state, second.resolution) == ("queued", "decided", "release")


async def test_two_that_disagree_need_a_third_with_experience(house: Database, open_case: OpenCase) -> None:
    item_id = await open_case(verdict=Verdict.BLOCK)
    await judge(house, item_id, ALICE, "release")
    await judge(house, item_id, BOB, "uphold")

    with pytest.raises(PermissionDenied):
        await judge(house, item_id, Analyst("carl", frozenset({"analyst"})), "release")
    third = await judge(house, item_id, SUE, "release")

    assert (third.state, third.resolution, third.decided_by) == ("decided", "release", SUE.identity)


async def test_nobody_without_experience_is_offered_a_disagreement(house: Database, open_case: OpenCase) -> None:
    item_id = await open_case(verdict=Verdict.BLOCK)
    await judge(house, item_id, ALICE, "release")
    await judge(house, item_id, BOB, "uphold")

    async with house.transaction() as conn:
        assert await claims.claim_next(conn, "default", Analyst("carl", frozenset({"analyst"})), 60) is None
        offered = await claims.claim_next(conn, "default", SUE, 60)

    assert offered is not None


async def test_nobody_judges_a_case_twice(house: Database, open_case: OpenCase) -> None:
    item_id = await open_case(verdict=Verdict.BLOCK)
    await judge(house, item_id, ALICE, "release")

    async with house.transaction() as conn:
        assert await claims.claim_next(conn, None, ALICE, 60) is None
        with pytest.raises(FailedPrecondition, match="judged"):
            await claims.claim(conn, item_id, ALICE, 60)


async def test_a_sealed_case_is_released_by_two_persons(house: Database, open_case: OpenCase) -> None:
    item_id = await open_case("sexual.minors")

    first = await judge(house, item_id, EVE, "release")
    second = await judge(house, item_id, FAY, "release")

    assert (first.state, second.state) == ("queued", "decided")


@pytest.mark.parametrize("third", ["release", "uphold"])
async def test_a_sealed_case_in_dispute_goes_to_a_third_sealed_person(
    house: Database, open_case: OpenCase, third: Resolution
) -> None:
    item_id = await open_case("sexual.minors")
    await judge(house, item_id, EVE, "release")
    await judge(house, item_id, FAY, "uphold")

    item = await judge(house, item_id, GIL, third)

    assert (item.state, item.resolution) == ("decided", third)


async def test_a_case_that_waits_again_says_nothing_of_the_first_judgement(
    house: Database, open_case: OpenCase
) -> None:
    item_id, given_back = await open_case(verdict=Verdict.BLOCK), await open_case()
    await judge(house, item_id, ALICE, "release")
    async with house.transaction() as conn:
        claim = await claims.claim(conn, given_back, ALICE, 60)
        await claims.release(conn, given_back, ALICE, claim.token, "")

    item = await look_at(house, item_id)

    assert (item.state, item.resolution, item.decided_by, item.decided_at, item.batch) == ("queued", *[None] * 4)
    assert item.claimed_by is None
    assert await told(house, item_id) == await told(house, given_back)


async def test_what_the_first_wrote_is_hidden_from_the_second(house: Database, open_case: OpenCase) -> None:
    item_id = await open_case(verdict=Verdict.BLOCK)
    async with house.transaction() as conn:
        await comments.add(conn, item_id, ALICE, "harmless, I release it")
        await comments.add(conn, item_id, SUE, "seen elsewhere")
    await judge(house, item_id, ALICE, "release")

    async with house.transaction() as conn:
        seen = {who.name: len(await comments.of_item(conn, item_id, who)) for who in (ALICE, BOB, LEAD)}

    assert seen == {"alice": 2, "bob": 1, "lea": 2}


async def test_nobody_takes_a_case_while_the_first_may_take_back(house: Database, open_case: OpenCase) -> None:
    item_id = await open_case(verdict=Verdict.BLOCK)
    await judge(house, item_id, ALICE, "release", undo=60)

    async with house.transaction() as conn:
        assert await claims.claim_next(conn, None, BOB, 60) is None
        with pytest.raises(Aborted, match="another analyst holds"):
            await claims.claim(conn, item_id, BOB, 60)


async def test_a_share_of_a_queue_is_looked_at_again(house: Database, open_case: OpenCase) -> None:
    item_id = await open_case()

    async with house.transaction() as conn:
        claim = await claims.claim(conn, item_id, ALICE, 60)
        item = await claims.decide(conn, item_id, ALICE, claim.token, "uphold", "", 0, shares={"default": 1.0})

    assert item.state == "queued"


async def test_every_judgement_is_kept_with_its_time(house: Database, open_case: OpenCase) -> None:
    item_id = await open_case(verdict=Verdict.BLOCK)
    await judge(house, item_id, ALICE, "release")
    await judge(house, item_id, BOB, "release")

    async with house.transaction() as conn:
        kept = await rounds.of_item(conn, item_id)
        kinds = [event.kind for event in await review_events.of_item(conn, item_id)]

    assert [(one.round, one.analyst, one.resolution) for one in kept] == [
        (1, ALICE.identity, "release"),
        (2, BOB.identity, "release"),
    ]
    assert all(one.seconds is not None for one in kept)
    assert kinds == ["opened", "queued", "claimed", "judged", "claimed", "decided"]


async def test_a_golden_case_ends_with_one_judgement_and_has_no_effects(house: Database, open_case: OpenCase) -> None:
    item_id = await open_case(verdict=Verdict.BLOCK)
    async with house.transaction() as conn:
        await conn.execute("UPDATE review_items SET golden = %s WHERE item_id = %s", [uuid4(), item_id])

    item = await judge(house, item_id, ALICE, "release")
    settled = await tasks.settle_decided(house, item_id)

    assert (item.state, settled) == ("decided", True)
    assert "item.settled" not in await told(house, item_id)


async def test_whoever_judged_a_case_does_not_get_the_appeal(house: Database, open_case: OpenCase) -> None:
    item_id = await open_case()
    await judge(house, item_id, SUE, "uphold")
    decision = (await look_at(house, item_id)).decision_id
    appeal = await open_case(kind="appeal", decision=decision, routed=False)
    await tasks.route_pending(house, appeal)

    async with house.transaction() as conn:
        own = await claims.claim_next(conn, "appeals", SUE, 60)
        another = await claims.claim_next(conn, "appeals", LEAD, 60)

    assert own is None
    assert another is not None


@given(key=st.binary(min_size=32, max_size=32), number=st.uuids())
def test_all_are_drawn_of_a_share_of_one_and_none_of_none(key: bytes, number: UUID) -> None:
    assert rounds.is_drawn(key, number, 1.0)
    assert not rounds.is_drawn(key, number, 0.0)


def test_the_draw_is_as_large_as_the_share_and_another_with_another_key() -> None:
    items = [UUID(int=number) for number in range(4000)]

    drawn = [[rounds.is_drawn(key, item, 0.1) for item in items] for key in (b"a" * 32, b"b" * 32)]

    assert all(300 < sum(one) < 500 for one in drawn)
    assert drawn[0] != drawn[1]
