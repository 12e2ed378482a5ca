from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from uuid import UUID, uuid4

import pytest

from services.core.errors import FailedPrecondition, NotFound
from services.core.policy.review_rules import ReviewRules
from services.core.staff import Analyst
from services.core.store import bulk, cases, claims, judgements, review_events, review_items
from services.core.store.bulk import BulkDecision
from services.core.store.database import Database
from services.core.store.review_items import ReviewItem
from services.core.verdicts import Verdict
from services.review import tasks

OpenCase = Callable[..., Awaitable[UUID]]
RULES = ReviewRules()
SUE, TOM = Analyst("sue", frozenset({"senior"})), Analyst("tom", frozenset({"senior"}))
BOSS = Analyst("boss", frozenset({"lead", "sealed"}))


async def look_at(house: Database, item_id: UUID) -> ReviewItem:
    async with house.transaction() as conn:
        item = await review_items.get(conn, item_id)
    assert item is not None
    return item


async def seen(house: Database, ids: list[UUID], analyst: Analyst = SUE) -> bulk.Preview:
    async with house.transaction() as conn:
        return await bulk.preview(conn, ids, analyst, RULES)


async def decided(house: Database, token: str, analyst: Analyst = SUE, undo: float = 60) -> BulkDecision:
    async with house.transaction() as conn:
        return await bulk.decide(conn, token, analyst, RULES, "uphold", "one wave", undo, {})


async def test_a_preview_changes_nothing(house: Database, open_case: OpenCase) -> None:
    item_id = await open_case()
    before = await look_at(house, item_id)

    await seen(house, [item_id])

    assert await look_at(house, item_id) == before


async def test_what_must_be_judged_alone_is_left_out(house: Database, open_case: OpenCase) -> None:
    plain, sealed, appeal = await open_case(), await open_case("sexual.minors"), await open_case(kind="appeal")
    taken, again, unknown = await open_case(), await open_case(verdict=Verdict.BLOCK), uuid4()
    async with house.transaction() as conn:
        await claims.claim(conn, taken, TOM, 60)
        claim = await claims.claim(conn, again, TOM, 60)
        await claims.decide(conn, again, TOM, claim.token, "release", "", 0)

    preview = await seen(house, [plain, sealed, appeal, taken, again, unknown, plain], BOSS)

    assert [item.item_id for item in preview.items] == [plain]
    assert set(preview.left_out) == {sealed, appeal, taken, again, unknown}


async def test_all_that_was_seen_is_decided_as_one_batch(house: Database, open_case: OpenCase) -> None:
    ids = [await open_case() for _ in range(3)]

    done = await decided(house, (await seen(house, ids)).token)

    assert {item.item_id for item in done.items} == set(ids)
    assert {(item.state, item.batch, item.decided_by) for item in done.items} == {("decided", done.batch, SUE.identity)}


async def test_what_has_moved_since_is_left_as_it_is(house: Database, open_case: OpenCase) -> None:
    still, moved = await open_case(), await open_case()
    preview = await seen(house, [still, moved])
    async with house.transaction() as conn:
        claim = await claims.claim(conn, moved, TOM, 60)
        await claims.release(conn, moved, TOM, claim.token, "")

    done = await decided(house, preview.token)

    assert ([item.item_id for item in done.items], done.left_out) == ([still], (moved,))


@pytest.mark.parametrize("who", ["another", "again", "late", "made up"])
async def test_a_preview_is_good_once_for_its_own_analyst_in_time(
    house: Database, open_case: OpenCase, who: str
) -> None:
    token = (await seen(house, [await open_case()])).token
    if who == "again":
        await decided(house, token)
    if who == "late":
        async with house.transaction() as conn:
            await conn.execute("UPDATE review_previews SET expires_at = now() - interval '1 second'")

    with pytest.raises(FailedPrecondition, match="preview again"):
        await decided(house, "x" * 43 if who == "made up" else token, TOM if who == "another" else SUE)


async def test_a_bulk_decision_is_looked_at_again_like_any_other(house: Database, open_case: OpenCase) -> None:
    item_id = await open_case(verdict=Verdict.BLOCK)
    preview = await seen(house, [item_id])

    async with house.transaction() as conn:
        done = await bulk.decide(conn, preview.token, SUE, RULES, "release", "toys", 0, {})

    assert [item.state for item in done.items] == ["queued"]


async def test_what_followed_a_decided_item_waits_on(house: Database, open_case: OpenCase) -> None:
    head, follower = await open_case(), await open_case()
    async with house.transaction() as conn:
        await cases.regroup(conn, [await _get(conn, head), await _get(conn, follower)])

    await decided(house, (await seen(house, [head])).token)

    after = await look_at(house, follower)
    assert (after.state, after.leader) == ("queued", None)


async def test_a_batch_is_taken_back_as_a_whole(house: Database, open_case: OpenCase) -> None:
    ids = [await open_case() for _ in range(3)]
    before = [await look_at(house, item_id) for item_id in ids]
    done = await decided(house, (await seen(house, ids)).token)

    async with house.transaction() as conn:
        await judgements.undo(conn, done.batch, SUE)

    assert [await look_at(house, item_id) for item_id in ids] == before


async def test_whoever_takes_a_decision_back_may_judge_again(house: Database, open_case: OpenCase) -> None:
    item_id = await open_case(verdict=Verdict.BLOCK)
    async with house.transaction() as conn:
        claim = await claims.claim(conn, item_id, SUE, 60)
        item = await claims.decide(conn, item_id, SUE, claim.token, "release", "", 60)
        assert item.batch is not None
        await judgements.undo(conn, item.batch, SUE)

        again = await claims.claim_next(conn, "default", SUE, 60)

    assert again is not None
    assert again.item.round == 1


async def test_nobody_takes_back_what_another_decided(house: Database, open_case: OpenCase) -> None:
    done = await decided(house, (await seen(house, [await open_case()])).token)
    async with house.transaction() as conn:
        with pytest.raises(NotFound):
            await judgements.undo(conn, done.batch, TOM)


async def test_nothing_is_taken_back_afterwards(house: Database, open_case: OpenCase) -> None:
    done = await decided(house, (await seen(house, [await open_case()])).token, undo=0)
    async with house.transaction() as conn:
        with pytest.raises(FailedPrecondition, match="taken effect"):
            await judgements.undo(conn, done.batch, SUE)


async def test_taking_back_is_part_of_the_items_chain(house: Database, open_case: OpenCase) -> None:
    item_id = await open_case()
    done = await decided(house, (await seen(house, [item_id])).token)
    async with house.transaction() as conn:
        await judgements.undo(conn, done.batch, SUE)

    async with house.transaction() as conn:
        flaws = [flaw async for flaw in review_events.verify(conn)]
        kinds = [event.kind for event in await review_events.of_item(conn, item_id)]

    assert (kinds, flaws) == (["opened", "queued", "decided", "undone"], [])


async def test_either_undo_or_effect_comes_first_and_never_both(house: Database, open_case: OpenCase) -> None:

    async def undone(batch: UUID) -> bool:
        try:
            async with house.transaction() as conn:
                await judgements.undo(conn, batch, SUE)
        except FailedPrecondition:
            return False
        return True

    for wait in (0.0, 0.02, 0.05):
        item_id = await open_case()
        done = await decided(house, (await seen(house, [item_id])).token, undo=wait)

        back, settled = await asyncio.gather(undone(done.batch), tasks.settle_decided(house, item_id))

        after = await look_at(house, item_id)
        assert not (back and settled)
        assert (after.state == "queued", after.settled_at is not None) == (back, settled)


async def test_a_follower_whose_leader_was_decided_meanwhile_waits_by_itself(
    house: Database, open_case: OpenCase
) -> None:
    head, follower = await open_case(), await open_case()
    async with house.transaction() as conn:
        await cases.regroup(conn, [await _get(conn, head), await _get(conn, follower)])
    done = await decided(house, (await seen(house, [follower])).token)
    await decided(house, (await seen(house, [head], TOM)).token, TOM)

    async with house.transaction() as conn:
        (item,) = await judgements.undo(conn, done.batch, SUE)

    assert (item.state, item.leader) == ("queued", None)


async def _get(conn: object, item_id: UUID) -> ReviewItem:
    item = await review_items.get(conn, item_id)  # type: ignore[arg-type]
    assert item is not None
    return item
