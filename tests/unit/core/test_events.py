"""Events are read in one order by everybody, and none is missed however late its transaction ends."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from typing import Any
from uuid import uuid4

import pytest

from services.core.store import events, tenants, webhooks
from services.core.store.database import Connection, Database
from services.core.store.events import Event, Page

DAY = 24 * 3600


@pytest.fixture
async def house(governed: Database) -> Database:
    return governed


async def tell(db: Database, *subjects: str, what: str = "item.opened", sealed: bool = False) -> None:
    async with db.transaction() as conn:
        for subject in subjects:
            await events.append(conn, what, subject, tenant="acme", sealed=sealed)


async def page(
    db: Database, after: int = 0, *, sealed: Sequence[bool] = (False, True), limit: int = 100, **only: Any
) -> Page:
    async with db.transaction() as conn:
        return await events.read(conn, after, await events.horizon(conn), sealed=sealed, limit=limit, **only)


def subjects(found: Sequence[Event]) -> list[str]:
    return [event.subject for event in found]


async def test_what_was_told_is_read_in_order_and_once(house: Database) -> None:
    await tell(house, "a", "b")
    first = await page(house)
    await tell(house, "c")

    second = await page(house, first.end)

    assert (subjects(first.events), subjects(second.events)) == (["a", "b"], ["c"])


async def test_an_event_that_commits_late_is_not_jumped_over(house: Database) -> None:
    async with house.transaction() as slow:
        await events.append(slow, "item.opened", "slow", tenant="acme")
        await tell(house, "fast")
        before = await page(house)

    after = await page(house, before.end)

    assert (subjects(before.events), subjects(after.events)) == ([], ["slow", "fast"])


async def test_an_older_transaction_that_writes_a_younger_event_is_no_gap(house: Database) -> None:
    """Its event has the higher id and is committed first; ids in order of commit would lose the other."""
    async with house.transaction() as young, house.transaction() as old:
        await old.execute("SELECT pg_current_xact_id()")
        await events.append(young, "item.opened", "young", tenant="acme")
        await events.append(old, "item.opened", "old", tenant="acme")
        await old.commit()
        before = await page(house)

    after = await page(house, before.end)

    assert sorted(subjects([*before.events, *after.events])) == ["old", "young"]


async def test_many_writers_and_a_reader_who_never_stops_lose_nothing(house: Database) -> None:
    chance = random.Random(7)
    done = asyncio.Event()

    async def write(writer: int) -> None:
        for number in range(15):
            async with house.transaction() as conn:
                await conn.execute("SELECT pg_current_xact_id()")
                await asyncio.sleep(chance.random() / 50)
                await events.append(conn, "item.opened", f"{writer}-{number}", tenant="acme")
                await asyncio.sleep(chance.random() / 50)

    async def read() -> list[str]:
        found: list[str] = []
        end = 0
        while True:
            last = done.is_set()
            got = await page(house, end, limit=7)
            found.extend(subjects(got.events))
            end = got.end
            if last and not got.full:
                return found

    reading = asyncio.create_task(read())
    await asyncio.gather(*(write(writer) for writer in range(6)))
    done.set()

    assert sorted(await reading) == sorted(f"{writer}-{number}" for writer in range(6) for number in range(15))


async def test_a_page_in_the_middle_of_a_transaction_goes_on_where_it_ended(house: Database) -> None:
    await tell(house, "a", "b", "c")

    first = await page(house, limit=2)
    second = await page(house, first.end)

    assert (subjects(first.events), first.full, subjects(second.events)) == (["a", "b"], True, ["c"])


async def test_filters_leave_out_what_is_not_asked_for(house: Database) -> None:
    await tell(house, "item")
    await tell(house, "account", what="account.suspended")
    await tell(house, "hidden", sealed=True)
    async with house.transaction() as conn:
        await tenants.create_tenant(conn, "other")
        await events.append(conn, "item.opened", "others", tenant="other")

    found = await page(house, sealed=[False], types=["item."], tenant="acme")

    assert subjects(found.events) == ["item"]


async def test_sealed_events_leave_no_gap_in_the_numbers_of_the_others(house: Database) -> None:
    async with house.transaction() as conn:
        await events.append(conn, "item.opened", "hidden", tenant="acme", sealed=True)
        await events.append(conn, "item.opened", "seen", tenant="acme")

    [seen] = (await page(house, sealed=[False])).events

    assert seen.position & (1 << events.PLACE_BITS) - 1 == 1


async def forget(db: Database, days: float = 1) -> int:
    async with db.transaction() as conn:
        return await events.forget(conn, days, 100)


async def age(db: Database, seconds: float) -> None:
    async with db.transaction() as conn:
        await conn.execute("UPDATE events SET at = at - make_interval(secs => %s)", [seconds])


async def endpoint(conn: Connection) -> None:
    await webhooks.add(conn, uuid4(), "acme", "https://hooks.example/", ["item.settled"], b"sealed", "test")


async def test_old_events_are_forgotten_and_young_ones_kept(house: Database) -> None:
    await tell(house, "old")
    await age(house, 2 * DAY)
    await tell(house, "young")

    assert await forget(house) == 1
    assert subjects((await page(house)).events) == ["young"]


async def test_who_resumes_before_what_was_forgotten_can_be_told(house: Database) -> None:
    await tell(house, "old")
    [old] = (await page(house)).events
    await age(house, 2 * DAY)

    await forget(house)

    async with house.transaction() as conn:
        assert await events.forgotten(conn) > old.position


async def test_nothing_is_forgotten_that_an_endpoint_has_not_been_told(house: Database) -> None:
    await tell(house, "old")
    await age(house, 2 * DAY)
    async with house.transaction() as conn:
        await endpoint(conn)
    before = await forget(house)

    async with house.transaction() as conn:
        await events.move_cursor(conn, "webhooks", (await page(house)).end)
    after = await forget(house)

    assert (before, after) == (0, 1)


async def test_nothing_is_forgotten_that_kafka_has_not_taken_until_it_leaves(house: Database) -> None:
    async with house.transaction() as conn:
        await events.move_cursor(conn, "kafka", 0)
    await tell(house, "old")
    await age(house, 2 * DAY)
    before = await forget(house)

    async with house.transaction() as conn:
        await events.leave(conn, "kafka")
    after = await forget(house)

    assert (before, after) == (0, 1)


async def test_events_from_another_servers_dump_are_told_again(house: Database) -> None:
    await tell(house, "restored")
    async with house.transaction() as conn:
        await conn.execute("UPDATE events SET xid = '99999999'")
        await events.move_cursor(conn, "kafka", 99999999 << events.PLACE_BITS)
    lost = await page(house)

    async with house.transaction() as conn:
        mended = await events.mend_restored(conn)
    found = await page(house)

    async with house.transaction() as conn:
        cursor = await events.cursor_of(conn, "kafka")
    assert (subjects(lost.events), mended, subjects(found.events), cursor) == ([], True, ["restored"], 0)


async def test_events_of_this_server_are_left_as_they_are(house: Database) -> None:
    await tell(house, "a")

    async with house.transaction() as conn:
        assert not await events.mend_restored(conn)
