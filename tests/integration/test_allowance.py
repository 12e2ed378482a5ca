"""What calls cost through the gateway's books: once, and not for what came to nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import psycopg
import pytest

from portcullis.v1 import checks_pb2 as pb
from portcullis.v1 import gateway_pb2 as api
from services.commands.default_policy import DEFAULT_POLICY
from services.core.errors import Aborted, AlreadyExists, Exhausted, InvalidInput, NotFound, Unavailable
from services.core.evidence import EvidenceStore, create_evidence_key
from services.core.limits.charges import Use
from services.core.policy.document import load_policy
from services.core.policy.source import ActivePolicy
from services.core.pseudonyms import Pseudonyms
from services.core.store import policies
from services.core.store.database import Database
from services.gateway import account_order
from services.gateway.accounts_desk import AccountsDesk, AccountState, to_proto
from services.gateway.case import Case, Outcome
from services.gateway.desk import Desk, Replay
from services.gateway.stop import Stop

LIMITS = """
limits:
  named:
    calls: {kind: rate, limit: 5, window_seconds: 86400, mode: enforce}
    pixels: {kind: pixels, limit: 40960, mode: enforce}
    at-once: {kind: concurrent, limit: 3, mode: enforce}
    quiet: {kind: rate, limit: 1, window_seconds: 86400, mode: shadow}
    reports: {kind: rate, per: reporter, limit: 2, window_seconds: 86400, mode: enforce}
  credits: {first_month: 8, monthly: 4, mode: enforce}
"""
TWO = Use("create", 2, 64)  # 8,192 of 40,960 pixels; 2 of 8 credits
ALLOWED = Stop(pb.STAGE_PROMPT, pb.Check(verdict=pb.VERDICT_ALLOW, clearance="t", policy="ab" * 32), prompt="a meadow")
REFUSED = Stop(pb.STAGE_PROMPT, pb.Check(verdict=pb.VERDICT_BLOCK, policy="ab" * 32), prompt="a meadow")
MADE = Stop(pb.STAGE_OUTPUT, pb.Check(verdict=pb.VERDICT_ALLOW, clearance="t", policy="ab" * 32), image=b"png")

Open = Callable[[str], Awaitable[tuple[Desk, AccountsDesk]]]


@pytest.fixture(scope="module")
def shared_database(new_database: Callable[[], str]) -> str:
    """One for all tests here: each empties it, which costs less than a new one."""
    return new_database()


@pytest.fixture
def database(shared_database: str) -> str:
    with psycopg.connect(shared_database) as conn:
        for table in ("limit_buckets", "limit_slots", "credits", "account_updates", "requests", "accounts"):
            conn.execute(psycopg.sql.SQL("DELETE FROM {}").format(psycopg.sql.Identifier(table)))
    return shared_database


@pytest.fixture
def under(governed: Database, tmp_path: Path) -> Open:
    """Opens the books under a policy with these limits."""

    async def opened(limits: str) -> tuple[Desk, AccountsDesk]:
        policy = load_policy(DEFAULT_POLICY.read_text(encoding="utf-8") + limits, "test")
        async with governed.transaction() as conn:
            await policies.put(conn, policy, "test")
            await policies.activate(conn, policy.id, "test", datetime.now(UTC))
        create_evidence_key(tmp_path / "evidence.key")
        evidence = EvidenceStore(tmp_path / "evidence", tmp_path / "evidence.key")
        active = await ActivePolicy.load(governed, 60)
        desk = Desk(governed, evidence, active, timedelta(days=1))
        return desk, AccountsDesk(
            governed, active, desk.allowance, Pseudonyms.load(tmp_path / "evidence.key", "account links")
        )

    return opened


@pytest.fixture
async def opened(under: Open) -> tuple[Desk, AccountsDesk]:
    return await under(LIMITS)


@pytest.fixture
def desk(opened: tuple[Desk, AccountsDesk]) -> Desk:
    return opened[0]


@pytest.fixture
def books(opened: tuple[Desk, AccountsDesk]) -> AccountsDesk:
    return opened[1]


async def begin(desk: Desk, use: Use = TWO, request_id: UUID | None = None) -> Case:
    case = await desk.admit("acme", "ada", request_id or uuid4(), b"content", use)
    assert isinstance(case, Case)
    return case


async def answer(desk: Desk, case: Case, *stops: Stop) -> None:
    with desk.allowance.running(case.spent):
        await desk.record(case, Outcome("create", stops, lambda _items: [api.Event()]))


async def fail(desk: Desk, case: Case, failure: BaseException, *, rendered: bool = False) -> None:
    with desk.allowance.running(case.spent):
        await desk.give_up(case, failure, rendered=rendered)


async def left(desk: Desk, books: AccountsDesk) -> dict[str, int]:
    await desk.allowance.close()
    state = await books.read("acme", "ada")
    assert state.credits is not None
    return {quota.charge.name: quota.left for quota in state.quotas} | {"credits": state.credits}


ALL = {"calls": 5, "pixels": 40960, "at-once": 3, "credits": 8}
ONE_CALL = {**ALL, "calls": 4}
CHARGED = {"calls": 4, "pixels": 40960 - 8192, "at-once": 3, "credits": 6}


async def test_what_was_made_costs(desk: Desk, books: AccountsDesk) -> None:
    await answer(desk, await begin(desk), ALLOWED, MADE)

    assert await left(desk, books) == CHARGED


async def test_who_hangs_up_while_pictures_are_drawn_and_asks_again_pays_once(desk: Desk, books: AccountsDesk) -> None:
    request_id = uuid4()
    await fail(desk, await begin(desk, request_id=request_id), asyncio.CancelledError(), rendered=True)
    await fail(desk, await begin(desk, request_id=request_id), Unavailable("a room is not there"), rendered=True)

    await answer(desk, await begin(desk, request_id=request_id), ALLOWED, MADE)

    assert (await left(desk, books))["credits"] == CHARGED["credits"]


async def test_while_a_call_runs_it_holds_a_slot(desk: Desk, books: AccountsDesk) -> None:
    await begin(desk)

    assert (await left(desk, books))["at-once"] == 2


async def test_what_was_refused_before_it_was_rendered_costs_a_call_and_no_picture(
    desk: Desk, books: AccountsDesk
) -> None:
    await answer(desk, await begin(desk), REFUSED)

    assert await left(desk, books) == ONE_CALL


@pytest.mark.parametrize(
    ("failure", "rendered", "remains"),
    [
        (Unavailable("a room is not there"), False, ALL),
        (Unavailable("a room is not there"), True, ALL),
        (RuntimeError("a mistake of ours"), True, ALL),
        (asyncio.CancelledError(), True, CHARGED),
        (asyncio.CancelledError(), False, ONE_CALL),
        (InvalidInput("image", "is no picture"), False, ONE_CALL),
    ],
)
async def test_what_failed_costs_by_whose_fault_it_was(
    desk: Desk, books: AccountsDesk, failure: BaseException, rendered: bool, remains: dict[str, int]
) -> None:
    await fail(desk, await begin(desk), failure, rendered=rendered)

    assert await left(desk, books) == remains


async def test_an_answer_from_the_books_costs_nothing(desk: Desk, books: AccountsDesk) -> None:
    request_id = uuid4()
    await answer(desk, await begin(desk, request_id=request_id), ALLOWED, MADE)

    again = await desk.admit("acme", "ada", request_id, b"content", TWO)

    assert isinstance(again, Replay)
    assert await left(desk, books) == CHARGED


async def test_an_answer_from_the_books_is_given_to_who_is_over_his_limit(desk: Desk) -> None:
    request_id = uuid4()
    await answer(desk, await begin(desk, Use("check_prompt"), request_id), ALLOWED)
    for _ in range(4):
        await answer(desk, await begin(desk, Use("check_prompt")), ALLOWED)
    with pytest.raises(Exhausted):
        await begin(desk, Use("check_prompt"))

    assert isinstance(await desk.admit("acme", "ada", request_id, b"content", Use("check_prompt")), Replay)


async def test_the_same_request_while_it_runs_costs_nothing(desk: Desk, books: AccountsDesk) -> None:
    request_id = uuid4()
    case = await begin(desk, request_id=request_id)

    twins = [desk.admit("acme", "ada", request_id, b"content", TWO) for _ in range(2)]
    found = await asyncio.gather(*twins, return_exceptions=True)

    assert [type(each) for each in found] == [Aborted, Aborted]
    await answer(desk, case, ALLOWED, MADE)
    assert await left(desk, books) == CHARGED


async def test_twins_sent_at_once_are_charged_once(desk: Desk, books: AccountsDesk) -> None:
    request_id = uuid4()
    twins = [desk.admit("acme", "ada", request_id, b"content", TWO) for _ in range(3)]

    found = await asyncio.gather(*twins, return_exceptions=True)

    (case,) = (each for each in found if isinstance(each, Case))
    await answer(desk, case, ALLOWED, MADE)
    assert await left(desk, books) == CHARGED


async def test_a_request_that_a_dead_gateway_began_is_not_paid_for_twice(
    desk: Desk, books: AccountsDesk, governed: Database
) -> None:
    request_id = uuid4()
    await begin(desk, request_id=request_id)
    async with governed.transaction() as conn:
        await conn.execute("UPDATE requests SET lease_expires_at = now() - interval '1 second'")

    await begin(desk, request_id=request_id)

    assert (await left(desk, books))["credits"] == 6


async def test_without_credits_nothing_is_begun_nor_charged(desk: Desk, books: AccountsDesk) -> None:
    for _ in range(4):
        await answer(desk, await begin(desk), ALLOWED, MADE)
    request_id = uuid4()

    with pytest.raises(Exhausted) as caught:
        await begin(desk, request_id=request_id)

    assert (caught.value.reason, caught.value.retry_after is not None) == ("CREDITS", True)
    assert (await left(desk, books))["calls"] == 1
    with pytest.raises(Exhausted):  # and not "is being worked on"
        await begin(desk, request_id=request_id)


async def test_credits_in_shadow_count_down_and_refuse_nobody(under: Open) -> None:
    desk, books = await under("limits: {named: {}, credits: {first_month: 3, mode: shadow}}\n")

    for _ in range(3):
        await answer(desk, await begin(desk), ALLOWED, MADE)

    assert await left(desk, books) == {"credits": 0}


async def test_a_policy_without_credits_counts_none(under: Open) -> None:
    desk, books = await under("limits: {named: {}, credits: null}\n")
    await answer(desk, await begin(desk), ALLOWED, MADE)

    state = await books.read("acme", "ada")

    assert not to_proto(state).HasField("credits")


async def test_reports_are_limited_by_reporter(desk: Desk) -> None:
    for _ in range(2):
        await desk.allowance.take_report("acme", "reporter-1")

    with pytest.raises(Exhausted):
        await desk.allowance.take_report("acme", "reporter-1")
    await desk.allowance.take_report("acme", "reporter-2")


# -- What a platform asks and says of an account --


def update(request_id: UUID | None = None, **fields: object) -> account_order.AccountChange:
    message = {"account": "ada", "request_id": str(request_id or uuid4()), **fields}
    return account_order.change(api.UpdateAccountRequest(**message))


async def test_who_never_asked_is_not_known(books: AccountsDesk) -> None:
    with pytest.raises(NotFound):
        await books.read("acme", "ada")


async def test_another_platform_does_not_see_an_account(desk: Desk, books: AccountsDesk) -> None:
    await begin(desk)

    with pytest.raises(NotFound):
        await books.read("other", "ada")


async def test_only_limits_in_force_are_told(desk: Desk, books: AccountsDesk) -> None:
    await begin(desk)

    account = to_proto(await books.read("acme", "ada"))

    assert [(quota.name, quota.limit) for quota in account.quotas] == [("at-once", 3), ("calls", 5), ("pixels", 40960)]


async def test_credits_are_added_once_for_a_request_id(books: AccountsDesk) -> None:
    bought = update(add_credits=100)

    states: list[AccountState] = [await books.update("acme", bought) for _ in range(2)]

    assert [state.credits for state in states] == [108, 108]


async def test_twins_of_a_purchase_sent_at_once_add_once(books: AccountsDesk) -> None:
    bought = update(add_credits=100)

    states = await asyncio.gather(*(books.update("acme", bought) for _ in range(4)))

    assert max(state.credits or 0 for state in states) == 108
    assert (await books.read("acme", "ada")).credits == 108


async def test_the_id_of_a_purchase_is_good_for_no_other(books: AccountsDesk) -> None:
    request_id = uuid4()
    await books.update("acme", update(request_id, add_credits=100))

    with pytest.raises(AlreadyExists):
        await books.update("acme", update(request_id, add_credits=101))


async def test_bought_credits_can_be_used(desk: Desk, books: AccountsDesk) -> None:
    await books.update("acme", update(add_credits=2))
    for _ in range(5):
        await answer(desk, await begin(desk), ALLOWED, MADE)

    assert (await left(desk, books))["credits"] == 0


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"add_credits": 1_000_001}, "add_credits"),
        ({"shared_hashes": [b"x" * 16] * 17}, "shared_hashes"),
        ({"shared_hashes": [b"x" * 16, b"x" * 15]}, "shared_hashes[1]"),
        ({"shared_hashes": [b"x" * 65]}, "shared_hashes[0]"),
        ({"account": ""}, "account"),
        ({"account": "a\nb"}, "account"),
        ({"request_id": "1"}, "request_id"),
    ],
)
def test_a_bad_update_is_told_by_its_field(fields: dict[str, object], field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        account_order.change(
            api.UpdateAccountRequest(**{"account": "ada", "request_id": str(uuid4()), **fields})  # type: ignore[arg-type]
        )

    assert caught.value.violation.field == field
