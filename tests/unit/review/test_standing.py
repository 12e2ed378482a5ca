"""What people's decisions do to standings, and what the sweeps see to."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from prometheus_client import REGISTRY

from services.commands.default_policy import DEFAULT_POLICY
from services.core.policy.document import load_policy
from services.core.policy.standing_rules import StandingRules
from services.core.standing import conduct
from services.core.store import accounts, decisions, policies, review_items, routings, strikes
from services.core.store.accounts import Account
from services.core.store.database import Database
from services.core.store.decisions import Decision
from services.core.store.review_items import Resolution
from services.core.store.strikes import NewStrike
from services.core.verdicts import Verdict
from services.review import standing
from services.review.routing import route
from services.review.tasks import settle_decided

OpenCase = Callable[..., Awaitable[UUID]]
USER = ("acme", "user-1")
RULES = StandingRules(jitter=0.0)


async def settle(db: Database, item_id: UUID, resolution: Resolution) -> None:
    async with db.transaction() as conn:
        await conn.execute(
            "UPDATE review_items SET state = 'decided', resolution = %s, decided_by = 'analyst/ann',"
            " decided_at = now(), effective_at = now(), due_at = now() WHERE item_id = %s",
            [resolution, item_id],
        )
    assert await settle_decided(db, item_id)


async def strike(db: Database, weight: float, at: datetime | None = None) -> None:
    given = NewStrike(uuid4(), "blocked", "violence", "prompt", weight, sealed=False)
    async with db.transaction() as conn:
        await conduct.strike(conn, *USER, given, RULES, at or datetime.now(UTC))


async def read(db: Database) -> Account:
    async with db.transaction() as conn:
        return await accounts.get_or_create(conn, *USER)


async def suspension(db: Database) -> UUID:
    """The case of the suspension, in its queue."""
    async with db.transaction() as conn:
        cursor = await conn.execute("SELECT item_id FROM review_items WHERE kind = 'suspension'")
        row = await cursor.fetchone()
        assert row is not None
        item = await review_items.get(conn, row[0])
        assert item is not None
        policy = await policies.load_active(conn)
        await routings.route(conn, item.item_id, route(item, policy.document.review, datetime.now(UTC)), "review")
        return item.item_id


async def let_time_pass(db: Database, hours: float) -> None:
    async with db.transaction() as conn:
        await conn.execute(
            "UPDATE accounts SET created_at = created_at - make_interval(hours => %s)"
            ", standing_until = standing_until - make_interval(hours => %s)",
            [hours, hours],
        )
        await conn.execute("UPDATE review_items SET due_at = due_at - make_interval(hours => %s)", [hours])


async def test_what_a_person_upheld_gives_a_strike_once_it_is_settled(house: Database, open_case: OpenCase) -> None:
    item_id = await open_case()

    await settle(house, item_id, "uphold")

    async with house.transaction() as conn:
        (given,) = await strikes.of_account(conn, *USER, sealed=[False])
    assert (given.source, given.category, given.weight) == ("upheld", "violence", 2.0)


async def test_what_a_person_released_gives_none(house: Database, open_case: OpenCase) -> None:
    item_id = await open_case()

    await settle(house, item_id, "release")

    async with house.transaction() as conn:
        assert await strikes.of_account(conn, *USER, sealed=[False]) == []


async def test_a_refusal_that_a_person_released_is_held_against_nobody(house: Database, open_case: OpenCase) -> None:
    item_id = await open_case()
    async with house.transaction() as conn:
        await conn.execute("UPDATE review_items SET verdict = 3 WHERE item_id = %s", [item_id])
        item = await review_items.get(conn, item_id)
        assert item is not None
        given = NewStrike(item.decision_id, "blocked", "violence", "prompt", 3.0, sealed=False)
        await conduct.strike(conn, *USER, given, RULES, datetime.now(UTC))

    await settle(house, item_id, "release")

    async with house.transaction() as conn:
        (strike,) = await strikes.of_account(conn, *USER, sealed=[False])
    assert (strike.reversed_by, (await read(house)).standing) == ("analyst/ann", "good")


async def test_a_released_suspension_ends_and_its_strikes_stay(house: Database) -> None:
    await strike(house, 20.0)

    await settle(house, await suspension(house), "release")

    async with house.transaction() as conn:
        (given,) = await strikes.of_account(conn, *USER, sealed=[False])
        (change, *_) = await strikes.changes(conn, *USER, limit=1)
    assert ((await read(house)).standing, given.reversed_at, change.who) == ("good", None, "analyst/ann")


async def test_an_upheld_suspension_stands(house: Database) -> None:
    await strike(house, 20.0)

    await settle(house, await suspension(house), "uphold")

    assert (await read(house)).standing == "suspended"


async def test_a_standing_that_ended_is_told_by_the_sweep(house: Database) -> None:
    text = DEFAULT_POLICY.read_text(encoding="utf-8").partition("\nstanding:")[0]
    text += "\nstanding: {jitter: 0}\n"
    policy = load_policy(text, "policy")
    async with house.transaction() as conn:
        await policies.put(conn, policy, "test")
        await policies.activate(conn, policy.id, "test", datetime.now(UTC))
    await let_time_pass(house, 25)
    await strike(house, 5.0, datetime.now(UTC) - timedelta(hours=20))

    await standing.sweep(house)

    async with house.transaction() as conn:
        cursor = await conn.execute("SELECT type FROM events WHERE type LIKE 'account.%' ORDER BY event_id")
        told = [row[0] for row in await cursor.fetchall()]
    assert ((await read(house)).standing, told) == ("warned", ["account.cooling", "account.restored"])


@pytest.mark.parametrize(("unreviewed", "after"), [("lift", "good"), ("keep", "suspended")])
async def test_what_nobody_looked_at_in_due_time_ends_or_stays_as_the_policy_says(
    house: Database, unreviewed: str, after: str
) -> None:
    text = DEFAULT_POLICY.read_text(encoding="utf-8").partition("\nstanding:")[0]
    text += f"\nstanding: {{jitter: 0, ladder: {{suspended: {{unreviewed: {unreviewed}}}}}}}\n"
    policy = load_policy(text, "policy")
    async with house.transaction() as conn:
        await policies.put(conn, policy, "test")
        await policies.activate(conn, policy.id, "test", datetime.now(UTC))
    await strike(house, 20.0)
    await suspension(house)
    await let_time_pass(house, 25)

    await standing.sweep(house)

    assert (await read(house)).standing == after
    assert REGISTRY.get_sample_value("portcullis_suspensions_overdue") == 1


async def test_the_figures_name_no_account(house: Database) -> None:
    await strike(house, 8.0)

    await standing.sweep(house)

    assert REGISTRY.get_sample_value("portcullis_accounts_in_standing", {"standing": "held"}) == 1


async def allowed(db: Database, count: int) -> None:
    async with db.transaction() as conn:
        await accounts.get_or_create(conn, *USER)
        for _ in range(count):
            decision = Decision(uuid4(), uuid4(), *USER, "create", Verdict.ALLOW, (), (), "ab" * 32, (), {})
            await decisions.record(conn, decision, [])


async def test_days_and_allowed_requests_earn_trust(house: Database) -> None:
    await allowed(house, 50)
    await let_time_pass(house, 15 * 24)

    await standing.tidy(house)

    assert (await read(house)).tier == "trusted"


@pytest.mark.parametrize("lacks", ["days", "requests", "good conduct", "a clean desk"])
async def test_what_keeps_trust_away(house: Database, open_case: OpenCase, lacks: str) -> None:
    await allowed(house, 49 if lacks == "requests" else 50)
    await let_time_pass(house, 24 if lacks == "days" else 15 * 24)
    if lacks == "good conduct":
        await strike(house, 0.6)
    if lacks == "a clean desk":
        await open_case()

    await standing.tidy(house)

    assert (await read(house)).tier == "new"
