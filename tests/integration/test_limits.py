"""Limits on a real Postgres: the truth that several gateways share, what a flood costs, and what a crash leaves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from prometheus_client import REGISTRY

from services.core.errors import Exhausted, Unavailable
from services.core.limits.charges import Charge, Use, Who, binding, charges
from services.core.limits.gcra import Bucket
from services.core.policy.limit_rules import Limit
from services.core.store import limits
from services.core.store.database import Database, Lane
from services.gateway.limiter import Grant, Limiter

DAY = 24 * 3600.0


def calls(limit: int, **more: object) -> Limit:
    """So slow that nothing comes back while a test runs."""
    return Limit.model_validate({"kind": "rate", "limit": limit, "window_seconds": DAY, "mode": "enforce", **more})


def slots(limit: int, **more: object) -> Limit:
    return Limit.model_validate({"kind": "concurrent", "limit": limit, "mode": "enforce", **more})


def asked(account: str = "ada", *, pictures: int = 1, **named: Limit) -> list[Charge]:
    return charges(named, Use("create", pictures, 64), Who("acme", account, "new"))


async def tried(limiter: Limiter, wanted: list[Charge]) -> Grant | Exhausted:
    try:
        return await limiter.take(wanted)
    except Exhausted as error:
        return error


async def left(db: Database, limiter: Limiter, account: str = "ada", **named: Limit) -> list[int]:
    await limiter.settled()
    return [each.left for each in await limiter.left(binding(named, Who("acme", account, "new")))]


@pytest.fixture(scope="module")
def shared_database(new_database: Callable[[], str]) -> str:
    """One for all tests here: each empties it, which costs less than a new one."""
    return new_database()


@pytest.fixture
def database(shared_database: str) -> str:
    with psycopg.connect(shared_database) as conn:
        for table in ("limit_buckets", "limit_slots"):
            conn.execute(psycopg.sql.SQL("DELETE FROM {}").format(psycopg.sql.Identifier(table)))
    return shared_database


@pytest.fixture
async def limiter(db: Database) -> AsyncIterator[Limiter]:
    """One gateway's."""
    made = Limiter(db)
    yield made
    await made.settled()


@pytest.fixture
async def other(db: Database) -> AsyncIterator[Limiter]:
    """Another gateway's."""
    made = Limiter(db)
    yield made
    await made.settled()


async def test_of_many_at_once_as_many_pass_as_the_limit_says(limiter: Limiter) -> None:
    answers = await asyncio.gather(*(tried(limiter, asked(a=calls(10))) for _ in range(64)))

    assert sum(isinstance(answer, Grant) for answer in answers) == 10


async def test_two_gateways_share_one_truth(limiter: Limiter, other: Limiter) -> None:
    answers = await asyncio.gather(
        *(tried(one, asked(a=calls(10), t=calls(25, per="tenant"))) for _ in range(40) for one in (limiter, other))
    )

    assert sum(isinstance(answer, Grant) for answer in answers) == 10


async def test_who_is_refused_by_one_limit_is_charged_by_none(db: Database, limiter: Limiter) -> None:
    named = {"narrow": calls(1), "wide": calls(100)}
    await limiter.take(asked(**named))

    await asyncio.gather(*(tried(limiter, asked(**named)) for _ in range(20)))

    assert await left(db, limiter, **named) == [0, 99]


async def test_others_in_a_batch_pass_beside_one_who_is_refused(limiter: Limiter) -> None:
    named = {"a": calls(1), "t": calls(100, per="tenant")}
    await limiter.take(asked("ada", **named))

    answers = await asyncio.gather(*(tried(limiter, asked(who, **named)) for who in ("ada", "bob", "ada", "eve")))

    assert [isinstance(answer, Grant) for answer in answers] == [False, True, False, True]


async def test_a_refusal_says_which_limit_whose_and_how_long(limiter: Limiter) -> None:
    await limiter.take(asked(a=calls(2, burst=1)))

    refusal = await tried(limiter, asked(a=calls(2, burst=1)))

    assert isinstance(refusal, Exhausted)
    assert [(v.subject, v.description) for v in refusal.violations] == [("account:ada", "a: 2 calls in 86400 s")]
    assert refusal.retry_after == pytest.approx(DAY / 2, abs=30)


async def test_what_never_fits_is_refused_without_a_hint_to_try_again(limiter: Limiter) -> None:
    refusal = await tried(limiter, asked(pictures=2, p=Limit(kind="pixels", limit=64 * 64, mode="enforce")))

    assert isinstance(refusal, Exhausted)
    assert refusal.retry_after is None


async def test_shadow_refuses_nobody_and_counts(limiter: Limiter) -> None:
    named = {"shy": calls(3, mode="shadow")}
    before = {outcome: counted("shy", outcome) for outcome in ("allowed", "over")}

    answers = await asyncio.gather(*(tried(limiter, asked(**named)) for _ in range(8)))

    assert all(isinstance(answer, Grant) for answer in answers)
    assert counted("shy", "allowed") - before["allowed"] == 3
    assert counted("shy", "over") - before["over"] == 5


async def test_shadow_refuses_nobody_while_gateways_race(limiter: Limiter, other: Limiter) -> None:
    named = {"shy": calls(10, mode="shadow"), "full": slots(3, mode="shadow")}

    answers = await asyncio.gather(*(tried(one, asked(**named)) for _ in range(40) for one in (limiter, other)))

    assert all(isinstance(answer, Grant) for answer in answers)


async def test_one_who_always_loses_a_race_is_let_past_shadow_and_refused_by_force(
    limiter: Limiter, monkeypatch: pytest.MonkeyPatch
) -> None:
    take = limits.take

    async def lost(lane: Lane, costs: dict[str, tuple[float, float]], *rest: object) -> object:
        return None if "acme/shy/ada" in costs or "acme/firm/ada" in costs else await take(lane, costs, *rest)  # type: ignore[arg-type]

    async def read(*_: object) -> limits.Truth:
        return limits.Truth(0.0, {}, {})

    monkeypatch.setattr(limits, "take", lost)
    monkeypatch.setattr(limits, "read", read)

    assert isinstance(await tried(limiter, asked(shy=calls(9, mode="shadow"))), Grant)
    assert isinstance(await tried(limiter, asked(firm=calls(9))), Exhausted)


def counted(name: str, outcome: str) -> float:
    labels = {"limit": name, "mode": "shadow", "outcome": outcome}
    return REGISTRY.get_sample_value("portcullis_limit_decisions_total", labels) or 0.0


async def test_a_flood_is_answered_without_postgres(
    db: Database, limiter: Limiter, monkeypatch: pytest.MonkeyPatch
) -> None:
    await limiter.take(asked(a=calls(1)))
    await tried(limiter, asked(a=calls(1)))
    asked_for: list[object] = []

    async def take(*what: object) -> None:
        asked_for.append(what)

    monkeypatch.setattr(limits, "take", take)
    answers = [await tried(limiter, asked(a=calls(1))) for _ in range(50)]

    assert all(isinstance(answer, Exhausted) for answer in answers)
    assert asked_for == []


async def test_what_is_given_back_can_be_taken_again(limiter: Limiter) -> None:
    wanted = asked(a=calls(1))
    grant = await limiter.take(wanted)

    limiter.undo(grant)

    assert isinstance(await tried(limiter, wanted), Grant)


async def test_slots_are_free_when_their_calls_end(db: Database, limiter: Limiter, other: Limiter) -> None:
    grant = await limiter.take(asked(s=slots(1)))
    assert isinstance(await tried(other, asked(s=slots(1))), Exhausted)

    limiter.release(grant)
    await limiter.settled()
    await asyncio.sleep(0.3)  # as long as the other remembers

    assert isinstance(await tried(other, asked(s=slots(1))), Grant)


async def test_a_caller_who_leaves_while_he_waits_holds_nothing(db: Database, limiter: Limiter) -> None:
    named = {"a": calls(5), "s": slots(5)}
    leavers = [asyncio.create_task(limiter.take(asked(**named))) for _ in range(5)]
    await asyncio.sleep(0)  # they ask

    for leaver in leavers:
        leaver.cancel()
    await asyncio.gather(*leavers, return_exceptions=True)

    assert await left(db, limiter, **named) == [5, 5]


async def test_the_slots_of_a_dead_gateway_end_with_their_lease(db: Database, limiter: Limiter, other: Limiter) -> None:
    await limiter.take(asked(s=slots(1)))  # and dies: nobody releases
    await pass_time(db, limits.LEASE_SECONDS)

    assert isinstance(await tried(other, asked(s=slots(1))), Grant)


async def pass_time(db: Database, seconds: float) -> None:
    """Moves all that is written into the past (or, if negative, as if the clock had been set back)."""
    async with db.transaction() as conn:
        await conn.execute("UPDATE limit_buckets SET tat = tat - %s", [seconds])
        await conn.execute(
            "UPDATE limit_slots SET held = (SELECT jsonb_object_agg(key, jsonb_build_array(value->0,"
            " (value->>1)::float8 - %s)) FROM jsonb_each(held))",
            [seconds],
        )


@pytest.mark.parametrize("jump", [3 * DAY, 3650 * DAY])
async def test_a_clock_set_back_locks_nobody_out(db: Database, limiter: Limiter, other: Limiter, jump: float) -> None:
    await limiter.take(asked(a=calls(1), s=slots(1)))
    await pass_time(db, -jump)

    assert isinstance(await tried(other, asked(a=calls(1), s=slots(1))), Grant)


async def test_after_a_crash_of_postgres_running_calls_are_published_again(db: Database, limiter: Limiter) -> None:
    running = [await limiter.take(asked(s=slots(3))) for _ in range(2)]
    async with db.transaction() as conn:
        await conn.execute("TRUNCATE limit_slots, limit_buckets")  # what recovery does to unlogged tables

    await limiter.take(asked(s=slots(3)))

    assert await left(db, Limiter(db), s=slots(3)) == [0]
    for grant in running:
        limiter.release(grant)


async def test_without_postgres_nobody_passes(db: Database) -> None:
    db.lane = Lane("host=/nowhere dbname=none")

    with pytest.raises(Unavailable):
        await Limiter(db).take(asked(a=calls(1)))


async def test_gateways_that_want_the_same_keys_never_lock_each_other_out(limiter: Limiter, other: Limiter) -> None:
    forth = {name: calls(1000) for name in "abcdef"}
    back = dict(reversed(forth.items()))

    answers = await asyncio.gather(
        *(
            tried(one, asked(f"u{n % 3}", **named))
            for n in range(40)
            for one, named in ((limiter, forth), (other, back))
        )
    )

    assert all(isinstance(answer, Grant) for answer in answers)


async def test_what_stands_for_nothing_is_forgotten(db: Database, limiter: Limiter) -> None:
    limiter.release(await limiter.take(asked(a=calls(1), s=slots(1))))
    await limiter.settled()
    await pass_time(db, 3 * DAY)

    async with db.transaction() as conn:
        await limits.forget_idle(conn)
        rows = await conn.execute("SELECT key FROM limit_buckets UNION ALL SELECT key FROM limit_slots")
        assert await rows.fetchall() == []


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.floats(0.01, 5000),
    st.integers(1, 50),
    st.lists(st.tuples(st.integers(-3, 5), st.floats(-100, 100_000)), min_size=1, max_size=12),
)
async def test_postgres_and_the_arithmetic_agree(
    db: Database, period: float, burst: int, steps: list[tuple[int, float]]
) -> None:
    bucket, tat = Bucket(period, burst), 0.0
    await db.lane.fetch("DELETE FROM limit_buckets RETURNING key", {})
    for units, pause in steps:
        if units > burst:
            continue
        taken = await limits.take(db.lane, {"k": (units * period, bucket.depth)}, {}, "me")
        truth = await limits.read(db.lane, ["k"], [], "me")
        slack = truth.now + bucket.depth - bucket.take(tat, units, truth.now)
        if abs(slack) < 0.5 or abs(tat - truth.now - 2 * bucket.depth) < 0.5:  # Postgres' clock went on meanwhile
            return

        fits = units <= 0 or bucket.fits(tat, units, truth.now)
        assert (taken is not None) is fits
        assert truth.tats.get("k", 0.0) == pytest.approx(bucket.take(tat, units, truth.now) if fits else tat, abs=0.5)
        tat = truth.tats.get("k", 0.0) - pause
        await db.lane.fetch("UPDATE limit_buckets SET tat = %(tat)s RETURNING tat", {"tat": tat})
