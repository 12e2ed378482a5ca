"""Strikes and what they lead to, on a real Postgres."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import psycopg
import pytest
from prometheus_client import REGISTRY
from psycopg import sql
from psycopg.conninfo import make_conninfo

from services.core.errors import FailedPrecondition, InvalidInput
from services.core.policy.standing_rules import Cooling, Held, Ladder, StandingRules, Suspended
from services.core.standing import conduct
from services.core.standing.conduct import Imposed
from services.core.standing.entry import enter, notice
from services.core.store import accounts, audit, embedded, strikes, tenants
from services.core.store.accounts import Account
from services.core.store.database import Connection, Database
from services.core.store.strikes import NewStrike

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
RULES = StandingRules(jitter=0.0)

_numbers = itertools.count(1)


@dataclass(frozen=True)
class House:
    """One database for all tests of this file, and an account that none of the others has."""

    db: Database
    user: tuple[str, str]

    def transaction(self) -> AbstractAsyncContextManager[Connection]:
        return self.db.transaction()


@pytest.fixture(scope="module")
def shared(postgres_dsn: str) -> str:
    with psycopg.connect(make_conninfo(postgres_dsn, dbname="postgres"), autocommit=True) as conn:
        conn.execute(
            sql.SQL("CREATE DATABASE conduct TEMPLATE {} STRATEGY file_copy").format(sql.Identifier(embedded.DATABASE))
        )
    return make_conninfo(postgres_dsn, dbname="conduct")


@pytest.fixture
async def house(shared: str) -> AsyncIterator[House]:
    database = await Database.open(shared)
    user = ("acme", f"user-{next(_numbers)}")
    async with database.transaction() as conn:
        await tenants.create_tenant(conn, "acme")
        await accounts.get_or_create(conn, *user)
    yield House(database, user)
    await database.close()


async def strike(
    house: House,
    weight: float,
    *,
    at: datetime = NOW,
    decision: UUID | None = None,
    rules: StandingRules = RULES,
    sealed: bool = False,
) -> Account:
    given = NewStrike(decision or uuid4(), "blocked", "violence", "prompt", weight, sealed)
    async with house.transaction() as conn:
        await conduct.strike(conn, *house.user, given, rules, at)
        return await accounts.get_or_create(conn, *house.user)


async def impose(
    house: House, step: Imposed, until: datetime | None, *, confirmed: bool = False, who: str = "anomalies"
) -> bool:
    async with house.transaction() as conn:
        return await conduct.impose(
            conn, *house.user, step, "anomaly.velocity", until, who=who, rules=RULES, now=NOW, confirmed=confirmed
        )


async def read(house: House) -> Account:
    async with house.transaction() as conn:
        return await accounts.get_or_create(conn, *house.user)


async def told(house: House) -> list[str]:
    async with house.transaction() as conn:
        cursor = await conn.execute("SELECT type FROM events WHERE subject = %s ORDER BY event_id", [house.user[1]])
        return [row[0] for row in await cursor.fetchall()]


async def suspensions(house: House) -> Sequence[tuple[bool, str, UUID]]:
    async with house.transaction() as conn:
        cursor = await conn.execute(
            "SELECT sealed, tier, subject FROM review_items WHERE kind = 'suspension' AND account = %s", [house.user[1]]
        )
        return await cursor.fetchall()


async def test_strikes_lead_up_the_ladder_and_each_step_is_told_once(house: House) -> None:
    steps = [(await strike(house, 1.0)).standing for _ in range(13)]

    assert steps == [
        *["good"] * 2,
        *["warned"] * 2,
        *["cooling"] * 3,
        *["held"] * 4,
        *["suspended"] * 2,
    ]
    assert await told(house) == ["account.warned", "account.cooling", "account.held", "account.suspended"]


async def test_each_change_is_in_the_audit_and_in_the_history(house: House) -> None:
    await strike(house, 3.0)

    async with house.transaction() as conn:
        (event, *_) = await audit.latest(conn, 1)
        (change,) = await strikes.changes(conn, *house.user, limit=10)
    assert (event.actor, event.action, event.subject) == ("portcullis", "account.warned", "/".join(house.user))
    assert (change.before, change.step, change.mode, change.reason) == ("good", "warned", "enforce", "violence")


async def test_a_decision_gives_its_strike_once(house: House) -> None:
    decision = uuid4()
    await strike(house, 3.0, decision=decision)

    await strike(house, 3.0, decision=decision)

    async with house.transaction() as conn:
        assert len(await strikes.of_account(conn, *house.user, sealed=[False, True])) == 1


async def test_testers_of_the_filters_are_given_no_strikes(house: House) -> None:
    async with house.transaction() as conn:
        await accounts.set_tier(conn, *house.user, "red_team")

    known = await strike(house, 100.0)

    assert known.standing == "good"


async def test_strikes_given_at_the_same_time_all_count(house: House) -> None:
    await asyncio.gather(*(strike(house, 1.0) for _ in range(8)))

    assert (await read(house)).standing == "held"


async def test_strikes_never_change(house: House) -> None:
    await strike(house, 1.0)

    with pytest.raises(psycopg.errors.IntegrityConstraintViolation):
        async with house.transaction() as conn:
            await conn.execute("UPDATE strikes SET weight = 0.1")


async def test_a_reversal_undoes_what_came_of_a_strike(house: House) -> None:
    decision = uuid4()
    await strike(house, 1.0)
    await strike(house, 5.0, decision=decision)

    async with house.transaction() as conn:
        count = await conduct.reverse(
            conn, "acme", decision, who="analyst/ann", why="an overturn", rules=RULES, now=NOW
        )

    assert (count, (await read(house)).standing) == (1, "good")
    assert (await told(house))[-1] == "account.restored"


async def test_a_strike_is_taken_back_once(house: House) -> None:
    decision = uuid4()
    await strike(house, 1.0, decision=decision)
    async with house.transaction() as conn:
        await conduct.reverse(conn, "acme", decision, who="analyst/ann", why="first", rules=RULES, now=NOW)

    async with house.transaction() as conn:
        again = await conduct.reverse(conn, "acme", decision, who="analyst/ben", why="again", rules=RULES, now=NOW)

    assert again == 0


async def test_the_strikes_of_another_platform_cannot_be_taken_back(house: House) -> None:
    decision = uuid4()
    await strike(house, 3.0, decision=decision)

    async with house.transaction() as conn:
        count = await conduct.reverse(conn, "other", decision, who="analyst/ann", why="", rules=RULES, now=NOW)

    assert (count, (await read(house)).standing) == (0, "warned")


async def test_a_step_in_shadow_is_recorded_once_and_does_nothing(house: House) -> None:
    rules = RULES.model_copy(update={"ladder": Ladder(cooling=Cooling(mode="shadow"))})
    await strike(house, 5.0, rules=rules)

    known = await strike(house, 1.0, rules=rules)

    async with house.transaction() as conn:
        recorded = [(change.step, change.mode) for change in await strikes.changes(conn, *house.user, limit=10)]
    assert known.standing == "warned"
    assert sorted(recorded) == [("cooling", "shadow"), ("warned", "enforce")]


async def test_a_suspension_by_rule_calls_a_person_once(house: House) -> None:
    for _ in range(14):
        await strike(house, 1.0)

    ((sealed, tier, subject),) = await suspensions(house)
    async with house.transaction() as conn:
        found = {change.step: change.change_id for change in await strikes.changes(conn, *house.user, limit=10)}
    assert (sealed, tier, subject) == (False, "new", found["suspended"])


async def test_the_case_of_a_suspension_with_a_sealed_strike_is_sealed(house: House) -> None:
    await strike(house, 12.0, sealed=True)

    ((sealed, *_),) = await suspensions(house)
    assert sealed
    async with house.transaction() as conn:
        assert await strikes.of_account(conn, *house.user, sealed=[False]) == []
    assert (await read(house)).standing_reason == "conduct"


async def test_the_figures_count_a_sealed_strike_under_no_category(house: House) -> None:
    def counted(category: str) -> float:
        return REGISTRY.get_sample_value("portcullis_strikes_total", {"category": category, "source": "blocked"}) or 0

    before = counted("violence"), counted("conduct")
    await strike(house, 1.0, sealed=True)
    assert (counted("violence"), counted("conduct")) == (before[0], before[1] + 1)


async def test_a_suspension_by_a_person_calls_nobody(house: House) -> None:
    await impose(house, "suspended", None, confirmed=True, who="analyst/ann")

    assert await suspensions(house) == []
    assert (await read(house)).standing == "suspended"


async def test_a_suspension_by_an_anomaly_calls_a_person(house: House) -> None:
    await impose(house, "suspended", NOW + timedelta(days=1))

    assert len(await suspensions(house)) == 1


@pytest.mark.parametrize(("step", "until"), [("banned", NOW + timedelta(days=1)), ("held", None)])
async def test_no_rule_bans_or_imposes_without_end(house: House, step: Imposed, until: datetime | None) -> None:
    with pytest.raises(InvalidInput):
        await impose(house, step, until)


async def test_what_is_imposed_does_not_soften_what_strikes_led_to(house: House) -> None:
    await strike(house, 8.0)

    changed = await impose(house, "cooling", NOW + timedelta(days=1))

    assert (changed, (await read(house)).standing) == (False, "held")


async def test_strikes_do_not_soften_what_is_imposed(house: House) -> None:
    await impose(house, "held", NOW + timedelta(days=1))

    known = await strike(house, 3.0)

    assert (known.standing, known.standing_reason) == ("held", "anomaly.velocity")


async def test_a_person_restores_and_the_next_strike_counts_on(house: House) -> None:
    await strike(house, 12.0)
    async with house.transaction() as conn:
        await conduct.restore(conn, *house.user, who="analyst/ann", rules=RULES, now=NOW)
    restored = await read(house)

    later = await strike(house, 1.0, at=NOW + timedelta(hours=1))

    assert (restored.standing, later.standing) == ("good", "suspended")


async def test_a_standing_that_ended_gives_way_at_the_door(house: House) -> None:
    await strike(house, 5.0)

    async with house.transaction() as conn:
        known = await enter(conn, *house.user, RULES, NOW + timedelta(hours=13))

    assert known.standing == "warned"
    assert await told(house) == ["account.cooling", "account.restored"]


@pytest.mark.parametrize(
    ("weight", "reason", "standing"),
    [(5.0, "ACCOUNT_COOLING", "cooling"), (12.0, "ACCOUNT_SUSPENDED", "suspended")],
)
async def test_who_is_kept_out_is_told_until_when(house: House, weight: float, reason: str, standing: str) -> None:
    known = await strike(house, weight)

    with pytest.raises(FailedPrecondition) as caught:
        async with house.transaction() as conn:
            await enter(conn, *house.user, RULES, NOW)

    assert known.standing_until is not None
    assert caught.value.reason == reason
    assert caught.value.metadata["standing"] == standing
    assert caught.value.metadata["until"] == known.standing_until.astimezone(UTC).isoformat(timespec="minutes")


async def test_the_notice_is_the_policys(house: House) -> None:
    rules = RULES.model_copy(update={"ladder": Ladder(held=Held(notice="Wait for us."))})

    known = await strike(house, 8.0)

    assert (notice(known, rules, NOW), notice(known, rules, NOW + timedelta(days=8))) == ("Wait for us.", "")


async def test_an_upheld_suspension_bans_only_where_the_weight_is_enough(house: House) -> None:
    found = []
    for weight in (12.0, 18.0):
        await strike(house, weight)
        async with house.transaction() as conn:
            await conduct.confirm_suspension(conn, *house.user, who="analyst/ann", rules=RULES, now=NOW)
        found.append((await read(house)).standing)

    assert found == ["suspended", "banned"]


async def test_a_ban_has_no_end(house: House) -> None:
    await impose(house, "banned", None, confirmed=True, who="analyst/ann")

    with pytest.raises(FailedPrecondition) as caught:
        async with house.transaction() as conn:
            await enter(conn, *house.user, RULES, NOW + timedelta(days=4000))

    assert (caught.value.metadata["standing"], "until" in caught.value.metadata) == ("banned", False)


async def test_strikes_make_a_trusted_account_new_again(house: House) -> None:
    async with house.transaction() as conn:
        await accounts.set_tier(conn, *house.user, "trusted")
    before = (await strike(house, 4.0)).tier

    after = (await strike(house, 1.0)).tier

    assert (before, after) == ("trusted", "new")
    assert "account.demoted" in await told(house)


async def test_suspended_in_shadow_calls_nobody(house: House) -> None:
    rules = RULES.model_copy(update={"ladder": Ladder(suspended=Suspended(mode="shadow"))})

    known = await strike(house, 20.0, rules=rules)

    assert (known.standing, await suspensions(house)) == ("held", [])
