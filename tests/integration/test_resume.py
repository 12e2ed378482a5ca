"""ResumeDecision on a real Postgres and a real review service: once, from where it stood, and never past a person."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import timedelta
from typing import cast
from uuid import UUID, uuid4

import grpc
import pytest
import pytest_asyncio

from portcullis.v1 import checks_pb2 as pb
from portcullis.v1 import gateway_pb2 as api
from portcullis.v1.review_pb2 import ReleasedStop
from services.core.errors import Aborted, FailedPrecondition, NotFound, PortcullisError, Unavailable
from services.core.limits.charges import Use
from services.core.rpc.door import Caller
from services.core.rpc.status import from_rpc_error
from services.core.store import decisions, evidence_rows, stops
from services.gateway import servicer
from services.gateway.accounts_desk import AccountsDesk
from services.gateway.appeals import AppealDesk
from services.gateway.case import Case
from services.gateway.held import HeldRequests
from services.gateway.pressure import Pressure
from services.gateway.reports import ReportDesk
from services.gateway.rooms import Rooms
from services.gateway.servicer import GatewayServicer
from tests.integration.held_house import ACCOUNT, TENANT, HeldHouse, held_house
from tests.unit.gateway.scripted_rooms import BLOCK, HOLD, ScriptedRooms, kinds

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(
    tmp_path_factory: pytest.TempPathFactory, postgres_dsn: str, new_port_base: Callable[[], int]
) -> AsyncIterator[HeldHouse]:
    async with held_house(tmp_path_factory.mktemp("resume"), postgres_dsn, new_port_base()) as running:
        yield running


@pytest.fixture(autouse=True)
def caller(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(servicer, "current_caller", lambda: Caller(f"tenant/{TENANT}"))


class RoomsWithReview(ScriptedRooms):
    """Filters that answer as the test says, and the real review service."""

    def __init__(self, house: HeldHouse, **answers: pb.Check) -> None:
        super().__init__(**answers)
        self._house = house

    async def clear_decision(self, subject: pb.Subject, decision_id: str) -> Sequence[ReleasedStop]:
        try:
            return await self._house.clear(UUID(decision_id), account=subject.account, tenant=subject.tenant)
        except grpc.aio.AioRpcError as error:
            raise from_rpc_error(error, "review service") from error


@pytest.fixture(autouse=True)
def no_trailers(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is no call whose trailers could tell of limits: the servicer is asked directly."""
    monkeypatch.setattr(servicer, "tell_limit", lambda *_: None)


def door(house: HeldHouse, rooms: ScriptedRooms) -> GatewayServicer:
    return GatewayServicer(
        cast("Rooms", rooms),
        house.desk,
        cast("ReportDesk", None),
        cast("AppealDesk", None),
        cast("AccountsDesk", None),
        Pressure(64, 2.0),
    )


async def create(house: HeldHouse, rooms: ScriptedRooms) -> tuple[UUID, list[api.Event]]:
    request = api.CreateImagesRequest(request_id=str(uuid4()), account=ACCOUNT, prompt="a poster")
    stream = door(house, rooms).CreateImages(request, cast("servicer.Context", None))
    events = [response.event async for response in stream]
    return UUID(events[0].accepted.decision_id), events


async def resume(
    house: HeldHouse, rooms: ScriptedRooms, decision: UUID, request_id: str = ""
) -> tuple[UUID, list[api.Event]]:
    request = api.ResumeDecisionRequest(request_id=request_id or str(uuid4()), decision_id=str(decision))
    stream = door(house, rooms).ResumeDecision(request, cast("servicer.Context", None))
    events = [response.event async for response in stream]
    return UUID(events[0].accepted.decision_id), [event for event in events[1:] if not event.HasField("progress")]


async def reason_of(house: HeldHouse, rooms: ScriptedRooms, decision: UUID) -> str:
    with pytest.raises(PortcullisError) as caught:
        await resume(house, rooms, decision)
    return caught.value.reason


async def test_a_released_prompt_is_drawn_under_a_decision_that_names_the_old_one(house: HeldHouse) -> None:
    rooms = RoomsWithReview(house, prompt=HOLD)
    held, _ = await create(house, rooms)
    await house.decide(held, "release")

    resumed, events = await resume(house, rooms, held)

    async with house.db.transaction() as conn:
        decision = await decisions.get(conn, TENANT, resumed)
    assert kinds(events) == ["image"] * 4 + ["done"]
    assert decision is not None
    assert (decision.resumes, decision.operation) == (held, "create")


async def test_what_a_person_released_opens_no_second_case(house: HeldHouse) -> None:
    rooms = RoomsWithReview(house, prompt=HOLD)
    held, _ = await create(house, rooms)
    await house.decide(held, "release")

    resumed, _ = await resume(house, rooms, held)

    assert await house.items(resumed) == []


async def test_a_held_output_arrives_as_it_was_drawn(house: HeldHouse) -> None:
    rooms = RoomsWithReview(house)
    rooms.outputs = {1: HOLD, 2: BLOCK}
    held, _ = await create(house, rooms)
    await house.decide(held, "release")
    rooms.asked.clear()

    _, events = await resume(house, rooms, held)

    assert rooms.asked == ["prompt", "mark"]
    assert [(event.image.index, event.image.data) for event in events[:-1]] == [(1, b"markedclean\x01")]


async def test_a_prompt_and_then_its_output_can_be_held_in_turn(house: HeldHouse) -> None:
    rooms = RoomsWithReview(house, prompt=HOLD)
    rooms.outputs = {0: HOLD}
    first, _ = await create(house, rooms)
    await house.decide(first, "release")
    second, _ = await resume(house, rooms, first)
    await house.decide(second, "release")
    rooms.asked.clear()

    _, events = await resume(house, rooms, second)

    assert rooms.asked == ["mark"]
    assert [event.image.index for event in events[:-1]] == [0]


async def test_an_upheld_output_is_told_beside_the_released_one(house: HeldHouse) -> None:
    rooms = RoomsWithReview(house)
    rooms.outputs = {1: HOLD, 3: HOLD}
    held, _ = await create(house, rooms)
    await house.decide(held, "uphold", "release")

    _, events = await resume(house, rooms, held)

    assert [events[0].image.index, events[1].refused.index, events[2].done.refused] == [3, 1, 1]


async def test_an_open_output_is_not_marked_if_the_prompt_is_refused_by_now(house: HeldHouse) -> None:
    rooms = RoomsWithReview(house)
    rooms.outputs = {1: HOLD}
    held, _ = await create(house, rooms)
    await house.decide(held, "release")
    rooms.answers["prompt"] = BLOCK

    resumed, events = await resume(house, rooms, held)

    assert kinds(events) == ["refused"]
    assert not await house.desk.held.resumable(TENANT, resumed)


async def test_held_again_before_its_output_it_still_has_it(house: HeldHouse) -> None:
    rooms = RoomsWithReview(house)
    rooms.outputs = {1: HOLD}
    first, _ = await create(house, rooms)
    await house.decide(first, "release")
    rooms.answers["prompt"] = HOLD
    second, _ = await resume(house, rooms, first)
    await house.decide(second, "release")

    _, events = await resume(house, rooms, second)

    assert [event.image.data for event in events[:-1]] == [b"markedclean\x01"]


async def test_nothing_is_resumed_before_it_is_released(house: HeldHouse) -> None:
    rooms = RoomsWithReview(house, prompt=HOLD)
    held, _ = await create(house, rooms)
    assert await reason_of(house, rooms, held) == "NOT_RELEASED"


async def test_while_the_release_may_be_taken_back_it_is_told_when_to_come_again(house: HeldHouse) -> None:
    rooms = RoomsWithReview(house, prompt=HOLD)
    held, _ = await create(house, rooms)
    (item,) = await house.decide(held, "release", settle=False)
    async with house.db.transaction() as conn:
        await conn.execute(
            "UPDATE review_items SET effective_at = now() + interval '1 minute' WHERE item_id = %s", [item]
        )

    with pytest.raises(FailedPrecondition) as caught:
        await resume(house, rooms, held)

    assert caught.value.reason == "NOT_SETTLED"
    assert caught.value.retry_after == pytest.approx(60, abs=30)


async def test_asked_too_early_it_can_be_resumed_later_under_any_id(house: HeldHouse) -> None:
    rooms = RoomsWithReview(house, prompt=HOLD)
    held, _ = await create(house, rooms)
    await reason_of(house, rooms, held)
    await house.decide(held, "release")

    assert kinds((await resume(house, rooms, held))[1])[-1] == "done"


async def test_what_was_refused_has_nothing_to_resume(house: HeldHouse) -> None:
    rooms = RoomsWithReview(house, prompt=BLOCK)
    refused, _ = await create(house, rooms)
    assert await reason_of(house, rooms, refused) == "NOT_HELD"


async def test_another_platforms_decision_is_not_found(house: HeldHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    rooms = RoomsWithReview(house, prompt=HOLD)
    held, _ = await create(house, rooms)
    await house.decide(held, "release")
    monkeypatch.setattr(servicer, "current_caller", lambda: Caller("tenant/other"))

    with pytest.raises(NotFound):
        await resume(house, rooms, held)


async def test_the_same_id_gets_the_same_answer_and_draws_once(house: HeldHouse) -> None:
    rooms, request_id = RoomsWithReview(house, prompt=HOLD), str(uuid4())
    held, _ = await create(house, rooms)
    await house.decide(held, "release")
    first = await resume(house, rooms, held, request_id)
    rooms.asked.clear()

    assert await resume(house, rooms, held, request_id) == first
    assert rooms.asked == []


async def test_another_id_comes_too_late(house: HeldHouse) -> None:
    rooms = RoomsWithReview(house, prompt=HOLD)
    held, _ = await create(house, rooms)
    await house.decide(held, "release")
    await resume(house, rooms, held)

    assert await reason_of(house, rooms, held) == "ALREADY_RESUMED"


async def test_a_resumption_that_failed_on_the_way_was_none(house: HeldHouse) -> None:
    rooms = RoomsWithReview(house, prompt=HOLD)
    held, _ = await create(house, rooms)
    await house.decide(held, "release")
    rooms.rendered = 0
    with pytest.raises(Unavailable):
        await resume(house, rooms, held)
    rooms.rendered = 4

    assert kinds((await resume(house, rooms, held))[1])[-1] == "done"


async def test_of_two_gateways_exactly_one_resumes(house: HeldHouse) -> None:
    rooms = RoomsWithReview(house, prompt=HOLD)
    held, _ = await create(house, rooms)
    await house.decide(held, "release")

    ends = await asyncio.gather(*(resume(house, rooms, held) for _ in range(6)), return_exceptions=True)

    won = [end for end in ends if not isinstance(end, BaseException)]
    lost = {type(end) for end in ends if isinstance(end, BaseException)}
    assert len(won) == 1
    assert lost <= {Aborted, FailedPrecondition}


async def begun(house: HeldHouse) -> Case:
    case = await house.desk.admit(TENANT, ACCOUNT, uuid4(), b"content", Use("create"))
    assert isinstance(case, Case)
    return case


async def test_while_one_gateway_is_at_it_another_is_told_to_wait(house: HeldHouse) -> None:
    held = await house.desk.held.find(TENANT, (await create(house, RoomsWithReview(house, prompt=HOLD)))[0])
    first, second = await begun(house), await begun(house)
    other = HeldRequests(house.db, house.evidence)
    await house.desk.held.take(held, first.request_id)

    with pytest.raises(Aborted) as caught:
        await other.take(held, second.request_id)

    assert caught.value.retry_after is not None


async def test_a_gateway_that_was_overtaken_records_nothing(house: HeldHouse) -> None:
    rooms = RoomsWithReview(house, prompt=HOLD)
    held, _ = await create(house, rooms)
    await house.decide(held, "release")
    rooms.clear_decision = overtaken(house, rooms, held)  # type: ignore[method-assign]

    with pytest.raises(Aborted) as caught:
        await resume(house, rooms, held)

    assert caught.value.reason == "RESUME_TAKEN_OVER"


def overtaken(house: HeldHouse, rooms: RoomsWithReview, held: UUID) -> Callable[..., object]:
    """The review service's answer, after another gateway took the decision over, as for one whose lease had ended."""
    ask = rooms.clear_decision

    async def answer(subject: pb.Subject, decision_id: str) -> Sequence[ReleasedStop]:
        async with house.db.transaction() as conn:
            await conn.execute("UPDATE held_requests SET resumed_by = %s WHERE decision_id = %s", [uuid4(), held])
        return await ask(subject, decision_id)

    return answer


async def test_a_decision_is_resumable_from_its_release_until_it_is_resumed(house: HeldHouse) -> None:
    rooms = RoomsWithReview(house, prompt=HOLD)
    held, _ = await create(house, rooms)
    before = await house.desk.held.resumable(TENANT, held)
    await house.decide(held, "release")
    released = await house.desk.held.resumable(TENANT, held)
    await resume(house, rooms, held)

    assert (before, released, await house.desk.held.resumable(TENANT, held)) == (False, True, False)


async def test_a_suspended_account_resumes_nothing(house: HeldHouse) -> None:
    rooms = RoomsWithReview(house, prompt=HOLD)
    held, _ = await create(house, rooms)
    await house.decide(held, "release")
    async with house.db.transaction() as conn:
        await conn.execute("UPDATE accounts SET standing = 'suspended', standing_until = now() + interval '1 day'")

    reason = await reason_of(house, rooms, held)

    async with house.db.transaction() as conn:
        await conn.execute("UPDATE accounts SET standing = 'good', standing_until = NULL")
    assert reason == "ACCOUNT_SUSPENDED"


async def kept_of(house: HeldHouse, decision: UUID) -> bool:
    """Whether all that a decision needs to go on is there after all evidence that may go went."""
    async with house.db.transaction() as conn:
        await evidence_rows.forget_expired(conn, 10_000)
        held = await house.desk.held.find(TENANT, decision)
        cursor = await conn.execute("SELECT count(*) FROM evidence WHERE evidence_id = ANY(%s)", [list(held.evidence)])
        row = await cursor.fetchone()
    return row is not None and row[0] == len(held.evidence)


async def age(house: HeldHouse, how_long: timedelta) -> None:
    async with house.db.transaction() as conn:
        await conn.execute("UPDATE evidence SET expires_at = expires_at - %s", [how_long])
        await conn.execute("UPDATE stops SET created_at = created_at - %s", [how_long])


async def test_what_is_needed_is_kept_while_one_case_is_open_and_its_life_after(house: HeldHouse) -> None:
    rooms = RoomsWithReview(house)
    rooms.outputs = {1: HOLD}
    held, _ = await create(house, rooms)
    await age(house, timedelta(days=50))
    open_still = await kept_of(house, held)
    await house.decide(held, "release")
    settled_now = await kept_of(house, held)
    await age(house, timedelta(days=2))

    assert (open_still, settled_now, await kept_of(house, held)) == (True, True, False)


async def test_what_expired_is_not_resumed(house: HeldHouse) -> None:
    rooms = RoomsWithReview(house, prompt=HOLD)
    held, _ = await create(house, rooms)
    await house.decide(held, "release")
    await age(house, timedelta(days=2))
    await kept_of(house, held)

    assert await reason_of(house, rooms, held) == "EVIDENCE_EXPIRED"


async def test_stops_are_forgotten_with_what_their_request_needs_and_not_before(house: HeldHouse) -> None:
    held, _ = await create(house, RoomsWithReview(house, prompt=HOLD))
    refused, _ = await create(house, RoomsWithReview(house, prompt=BLOCK))
    await age(house, timedelta(days=50))

    async with house.db.transaction() as conn:
        await stops.forget(conn, 30)
        left = [len(await stops.of_decision(conn, TENANT, decision)) for decision in (held, refused)]

    assert left == [1, 0]
