"""ClearDecision over mutual TLS on a real Postgres: what people released is cleared, and nothing else ever is."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from uuid import UUID, uuid4

import grpc
import pytest
import pytest_asyncio
from google.protobuf.any_pb2 import Any
from google.rpc import error_details_pb2, status_pb2

from portcullis.v1 import checks_pb2 as pb
from services.core.clearance import ClearanceVerifier
from services.core.rpc import convert
from services.core.store import review_events, review_items
from services.gateway.stop import Stop
from tests.integration.held_house import ACCOUNT, DOUBT, MODELS, TENANT, HeldHouse, held_house

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(
    tmp_path_factory: pytest.TempPathFactory, postgres_dsn: str, new_port_base: Callable[[], int]
) -> AsyncIterator[HeldHouse]:
    async with held_house(tmp_path_factory.mktemp("held"), postgres_dsn, new_port_base()) as running:
        yield running


async def refusal(call: Awaitable[object]) -> tuple[grpc.StatusCode, str]:
    """The code of a failed call and the reason in its details."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    trailers = dict(caught.value.trailing_metadata() or ())
    info = error_details_pb2.ErrorInfo()
    details: list[Any] = list(status_pb2.Status.FromString(trailers["grpc-status-details-bin"]).details)
    assert any(detail.Unpack(info) for detail in details)
    return caught.value.code(), info.reason


def verified(house: HeldHouse, token: str, stop: Stop, audience: str) -> None:
    """Passes where `audience` would accept `token` for the content of `stop`, and for nothing less."""
    verifier = ClearanceVerifier.load(house.house.home / "keys" / "clearance" / "jwks.json", audience)
    claim = verifier.verify(
        token, stage=convert.STAGES[stop.stage], tenant=TENANT, account=ACCOUNT, digests=stop.digests
    )
    assert claim.signals == convert.signals_digest(stop.check.signals)
    assert (claim.policy, claim.models) == (stop.check.policy, tuple(model.source for model in MODELS))


async def test_a_released_prompt_is_cleared_as_its_filter_would_have(house: HeldHouse) -> None:
    stop = house.stop("prompt", DOUBT)
    decision = await house.record(stop)
    await house.decide(decision, "release")

    (released,) = await house.clear(decision)

    assert (stop.held, released.stage) == (True, pb.STAGE_PROMPT)
    for audience in ("combo_filter", "generator"):
        verified(house, released.clearance, stop, audience)


async def test_released_outputs_are_cleared_each_for_its_own_picture_and_request(house: HeldHouse) -> None:
    outputs = [house.stop("output", DOUBT, index) for index in (1, 3)]
    decision = await house.record(house.stop("prompt", {}), *outputs)
    await house.decide(decision, "release", "release")

    released = await house.clear(decision)

    assert [one.index for one in released] == [1, 3]
    for one, stop in zip(released, outputs, strict=True):
        verified(house, one.clearance, stop, "provenance")


async def test_an_upheld_output_is_left_out(house: HeldHouse) -> None:
    decision = await house.record(
        house.stop("prompt", {}), house.stop("output", DOUBT, 0), house.stop("output", DOUBT, 1)
    )
    await house.decide(decision, "uphold", "release")

    assert [one.index for one in await house.clear(decision)] == [1]


async def test_every_clearance_stands_in_the_chain_of_its_case(house: HeldHouse) -> None:
    decision = await house.record(house.stop("prompt", DOUBT))
    (item,) = await house.decide(decision, "release")

    await house.clear(decision)

    async with house.db.transaction() as conn:
        last = (await review_events.of_item(conn, item))[-1]
    async with house.db.transaction() as conn:
        flaws = [flaw async for flaw in review_events.verify(conn)]
    assert (last.kind, last.actor, bool(UUID(last.detail["clearance"]))) == ("cleared", "gateway", True)
    assert flaws == []


async def test_nothing_is_cleared_before_a_person_decided(house: HeldHouse) -> None:
    decision = await house.record(house.stop("prompt", DOUBT))
    assert await refusal(house.clear(decision)) == (grpc.StatusCode.FAILED_PRECONDITION, "NOT_RELEASED")


async def test_nothing_is_cleared_while_the_decision_may_be_taken_back(house: HeldHouse) -> None:
    decision = await house.record(house.stop("prompt", DOUBT))
    await house.decide(decision, "release", settle=False)
    assert await refusal(house.clear(decision)) == (grpc.StatusCode.FAILED_PRECONDITION, "NOT_SETTLED")


async def test_what_was_upheld_is_never_cleared(house: HeldHouse) -> None:
    decision = await house.record(house.stop("prompt", DOUBT))
    await house.decide(decision, "uphold")
    assert await refusal(house.clear(decision)) == (grpc.StatusCode.FAILED_PRECONDITION, "UPHELD")


async def test_what_was_allowed_or_refused_is_not_held(house: HeldHouse) -> None:
    decision = await house.record(house.stop("prompt", {"political": 0.95}))
    assert await refusal(house.clear(decision)) == (grpc.StatusCode.FAILED_PRECONDITION, "NOT_HELD")


@pytest.mark.parametrize("foreign", [{"tenant": "other"}, {"account": "user-2"}, {"decision_id": uuid4()}])
async def test_another_platforms_accounts_or_no_decision_is_not_found(
    house: HeldHouse, foreign: dict[str, object]
) -> None:
    decision = await house.record(house.stop("prompt", DOUBT))
    await house.decide(decision, "release")
    assert await refusal(house.clear(**{"decision_id": decision, **foreign})) == (
        grpc.StatusCode.NOT_FOUND,
        "DECISION_UNKNOWN",
    )


async def test_what_expired_is_not_cleared(house: HeldHouse) -> None:
    decision = await house.record(house.stop("prompt", DOUBT))
    await house.decide(decision, "release")
    async with house.db.transaction() as conn:
        await conn.execute(
            "DELETE FROM evidence USING held_requests WHERE evidence_id = order_evidence AND decision_id = %s",
            [decision],
        )
    assert await refusal(house.clear(decision)) == (grpc.StatusCode.FAILED_PRECONDITION, "EVIDENCE_EXPIRED")


@pytest.mark.parametrize("identity", ["analyst/alice", "generator"])
async def test_no_person_and_no_other_room_gets_a_clearance(house: HeldHouse, identity: str) -> None:
    decision = await house.record(house.stop("prompt", DOUBT))
    await house.decide(decision, "release")
    code, _ = await refusal(house.clear(decision, identity=identity))
    assert code is grpc.StatusCode.PERMISSION_DENIED


async def test_a_malformed_id_is_named(house: HeldHouse) -> None:
    code, _ = await refusal(house.clear("no-uuid"))
    assert code is grpc.StatusCode.INVALID_ARGUMENT


@pytest.mark.parametrize("score", [0.3, 0.6, 1.0])
async def test_sexual_minors_is_refused_and_cannot_be_cleared(house: HeldHouse, score: float) -> None:
    stop = house.stop("prompt", {"sexual.minors": score})
    decision = await house.record(stop)
    await house.decide(decision, "release")

    assert stop.check.verdict == pb.VERDICT_BLOCK
    assert await refusal(house.clear(decision)) == (grpc.StatusCode.FAILED_PRECONDITION, "NOT_HELD")


async def test_a_sealed_refusal_beside_a_released_output_changes_nothing(house: HeldHouse) -> None:
    decision = await house.record(
        house.stop("prompt", {}), house.stop("output", {"sexual.minors": 0.9}, 0), house.stop("output", DOUBT, 1)
    )
    async with house.db.transaction() as conn:
        found = [await review_items.get(conn, item) for item in await house.items(decision)]
    assert sorted(item.sealed for item in found if item) == [False, True]
    await house.decide(decision, "release", "release")

    assert [one.index for one in await house.clear(decision)] == [1]


async def test_a_row_tampered_to_say_held_clears_no_sexual_minors(house: HeldHouse) -> None:
    decision = await house.record(house.stop("prompt", DOUBT), house.stop("output", {"sexual.minors": 0.9}, 0))
    async with house.db.transaction() as conn:
        await conn.execute("UPDATE stops SET held = true, verdict = 2 WHERE decision_id = %s", [decision])
    await house.decide(decision, "release", "release")

    assert [one.stage for one in await house.clear(decision)] == [pb.STAGE_PROMPT]
