"""The analysts' desk over real sockets, mutual TLS and a real Postgres."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from uuid import UUID, uuid4

import grpc
import pytest

from portcullis.v1 import review_pb2 as pb
from portcullis.v1 import review_pb2_grpc as stubs
from services.core.clearance import create_keys
from services.core.config import HouseSettings
from services.core.evidence import EvidenceStore, create_evidence_key
from services.core.policy.review_rules import ReviewRules
from services.core.rpc import server as servers
from services.core.rpc import tls
from services.core.rpc.channel import connect
from services.core.store import decisions, evidence_rows, review_events, review_items, tenants
from services.core.store.database import Database
from services.core.store.decisions import Decision
from services.core.store.review_items import NewReviewItem
from services.core.verdicts import Reason, Verdict
from services.review.__main__ import build
from services.review.routing import route

ALICE, BOB, EVE = "analyst/alice", "analyst/bob", "sealed/eve"
PROMPT = "words that somebody shall look at"
Stub = stubs.ReviewServiceStub


class Desk:
    """A running desk, with what stands behind it."""

    def __init__(self, house: HouseSettings, db: Database, evidence: EvidenceStore) -> None:
        self.house = house
        self.db = db
        self.evidence = evidence

    @asynccontextmanager
    async def as_(self, identity: str) -> AsyncIterator[Stub]:
        async with connect(self.house, identity, "review") as channel:
            yield stubs.ReviewServiceStub(channel)

    async def open_case(self, category: str = "violence") -> str:
        """A case as the gateway opens it and the worker routes it."""
        reason = Reason(category, "says why", 0.8, 0.7, Verdict.REVIEW)
        blob = self.evidence.put(PROMPT.encode())
        sealed = category == "sexual.minors"
        item = NewReviewItem(uuid4(), "prompt", Verdict.REVIEW, (reason,), held=True, sealed=sealed, prompt=blob.id)
        decision = Decision(
            uuid4(), uuid4(), "acme", "user-1", "create", Verdict.REVIEW, (reason,), (), "ab" * 32, (), {}
        )
        async with self.db.transaction() as conn:
            await tenants.create_tenant(conn, "acme")
            await evidence_rows.record(conn, "acme", "prompt", blob, timedelta(days=1))
            await decisions.record(conn, decision, [item])
            found = await review_items.get(conn, item.item_id)
            assert found is not None
            await review_items.route(conn, item.item_id, route(found, ReviewRules()), "review")
        return str(item.item_id)


@pytest.fixture
async def desk(
    tmp_path: Path, database: str, db: Database, monkeypatch: pytest.MonkeyPatch, new_port_base: Callable[[], int]
) -> AsyncIterator[Desk]:
    monkeypatch.setenv("PORTCULLIS_REVIEW_METRICS_PORT", "0")
    tls.create_ca(tmp_path / "tls")
    for identity in ("review", "gateway", ALICE, BOB, EVE):
        tls.issue_certificate(tmp_path / "tls", identity)
    create_evidence_key(tmp_path / "keys" / "evidence.key")
    create_keys(tmp_path / "keys" / "clearance")
    port_base = new_port_base()
    house = HouseSettings(home=tmp_path, dsn=database, port_base=port_base, drain_seconds=1)
    stopping = asyncio.Event()
    task = asyncio.create_task(servers.serve("review", build, house, stopping))
    yield Desk(house, db, EvidenceStore(tmp_path / "evidence", tmp_path / "keys" / "evidence.key"))
    stopping.set()
    await task


async def claim(stub: Stub, item_id: str = "", queue: str = "") -> pb.ClaimItemResponse:
    request = pb.ClaimItemRequest(item_id=item_id, queue=queue)
    return await stub.ClaimItem(request, timeout=10, wait_for_ready=True)


async def decide(
    stub: Stub, item_id: str, token: str, resolution: pb.Resolution.ValueType = pb.RESOLUTION_UPHOLD, comment: str = ""
) -> pb.ReviewItem:
    request = pb.DecideItemRequest(item_id=item_id, claim_token=token, resolution=resolution, comment=comment)
    return (await stub.DecideItem(request, timeout=10, wait_for_ready=True)).item


async def listed(
    stub: Stub,
    *,
    queue: str = "",
    state: pb.ItemState.ValueType = pb.ITEM_STATE_UNSPECIFIED,
    page_size: int = 0,
    page_token: str = "",
) -> list[str]:
    request = pb.ListItemsRequest(queue=queue, state=state, page_size=page_size, page_token=page_token)
    page = await stub.ListItems(request, timeout=10, wait_for_ready=True)
    return [item.item_id for item in page.items]


async def code_of(call: Awaitable[object]) -> grpc.StatusCode:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value.code()


async def test_a_case_is_listed_claimed_read_and_decided(desk: Desk) -> None:
    item_id = await desk.open_case()

    async with desk.as_(ALICE) as alice:
        assert await listed(alice, queue="default", state=pb.ITEM_STATE_QUEUED) == [item_id]
        claimed = await claim(alice, item_id)
        item = await decide(alice, item_id, claimed.claim_token, comment="clear")

    assert claimed.content.prompt == PROMPT
    assert (item.state, item.resolution, item.decided_by) == (pb.ITEM_STATE_DECIDED, pb.RESOLUTION_UPHOLD, ALICE)


async def test_every_reading_is_recorded(desk: Desk) -> None:
    item_id = await desk.open_case()

    async with desk.as_(ALICE) as alice:
        await claim(alice, item_id)

    async with desk.db.transaction() as conn:
        events = await review_events.of_item(conn, UUID(item_id))
    assert (events[-1].kind, events[-1].actor, events[-1].detail["shown"]) == ("viewed", ALICE, "prompt")


async def test_a_case_whose_evidence_is_damaged_can_still_be_decided(desk: Desk) -> None:
    item_id = await desk.open_case()
    for path in (desk.house.home / "evidence").rglob("*.aead"):
        path.write_bytes(b"damaged")

    async with desk.as_(ALICE) as alice:
        claimed = await claim(alice)
        await decide(alice, item_id, claimed.claim_token)

    assert claimed.content.prompt == ""


async def test_a_second_analyst_cannot_take_a_claimed_case(desk: Desk) -> None:
    item_id = await desk.open_case()
    async with desk.as_(ALICE) as alice, desk.as_(BOB) as bob:
        await claim(alice, item_id)
        assert await code_of(claim(bob, item_id)) is grpc.StatusCode.ABORTED


async def test_a_renewed_and_a_released_claim(desk: Desk) -> None:
    item_id = await desk.open_case()
    async with desk.as_(ALICE) as alice, desk.as_(BOB) as bob:
        first = await claim(alice, item_id)
        renewed = await alice.RenewClaim(
            pb.RenewClaimRequest(item_id=item_id, claim_token=first.claim_token), timeout=10
        )
        await alice.ReleaseClaim(
            pb.ReleaseClaimRequest(item_id=item_id, claim_token=first.claim_token, reason="not mine"), timeout=10
        )
        second = await claim(bob, item_id)

    assert renewed.claim_expires_at.ToDatetime() > first.item.claim_expires_at.ToDatetime()
    assert second.item.claimed_by == BOB


async def test_a_sealed_case_does_not_exist_for_others(desk: Desk) -> None:
    item_id = await desk.open_case("sexual.minors")

    async with desk.as_(ALICE) as alice:
        assert await listed(alice) == []
        assert await code_of(claim(alice, item_id)) is grpc.StatusCode.NOT_FOUND
        assert await code_of(claim(alice, queue="sealed")) is grpc.StatusCode.NOT_FOUND
        assert await code_of(decide(alice, item_id, "x" * 43)) is grpc.StatusCode.NOT_FOUND


async def test_the_sealed_role_sees_it(desk: Desk) -> None:
    item_id = await desk.open_case("sexual.minors")

    async with desk.as_(EVE) as eve:
        assert await listed(eve, queue="sealed") == [item_id]
        assert (await claim(eve, queue="sealed")).item.item_id == item_id


async def test_no_service_is_an_analyst(desk: Desk) -> None:
    async with desk.as_("gateway") as gateway:
        assert await code_of(listed(gateway)) is grpc.StatusCode.PERMISSION_DENIED


async def test_pages_lead_through_the_whole_list(desk: Desk) -> None:
    opened = {await desk.open_case() for _ in range(5)}
    seen: list[str] = []
    token = ""

    async with desk.as_(ALICE) as alice:
        while True:
            request = pb.ListItemsRequest(page_size=2, page_token=token)
            page = await alice.ListItems(request, timeout=10, wait_for_ready=True)
            seen += [item.item_id for item in page.items]
            token = page.next_page_token
            if not token:
                break

    assert (len(seen), set(seen)) == (5, opened)


BAD_INPUT: dict[str, Callable[[Stub, str], Awaitable[object]]] = {
    "item id": lambda stub, _: claim(stub, "not-a-uuid"),
    "queue": lambda stub, _: claim(stub, queue="no such queue\x00"),
    "page size": lambda stub, _: listed(stub, page_size=201),
    "page token": lambda stub, _: listed(stub, page_token="made up"),
    "resolution": lambda stub, item_id: decide(stub, item_id, "x", pb.RESOLUTION_UNSPECIFIED),
    "comment of 1 MB": lambda stub, item_id: decide(stub, item_id, "x", comment="c" * 2**20),
    "comment with NUL": lambda stub, item_id: decide(stub, item_id, "x", comment="\x00"),
    "no token": lambda stub, item_id: decide(stub, item_id, ""),
}


@pytest.mark.parametrize("what", BAD_INPUT)
async def test_bad_input_is_named(desk: Desk, what: str) -> None:
    async with desk.as_(ALICE) as alice:
        assert await code_of(BAD_INPUT[what](alice, str(uuid4()))) is grpc.StatusCode.INVALID_ARGUMENT


async def test_an_unknown_case_is_not_found(desk: Desk) -> None:
    async with desk.as_(ALICE) as alice:
        assert await code_of(claim(alice, str(uuid4()))) is grpc.StatusCode.NOT_FOUND


async def test_a_lost_claim_decides_nothing(desk: Desk) -> None:
    item_id = await desk.open_case()
    async with desk.as_(ALICE) as alice:
        assert await code_of(decide(alice, item_id, "x" * 43)) is grpc.StatusCode.ABORTED


async def test_a_decided_case_stays_decided(desk: Desk) -> None:
    item_id = await desk.open_case()
    async with desk.as_(ALICE) as alice:
        claimed = await claim(alice, item_id)
        await decide(alice, item_id, claimed.claim_token)
        again = decide(alice, item_id, claimed.claim_token, pb.RESOLUTION_RELEASE)
        assert await code_of(again) is grpc.StatusCode.FAILED_PRECONDITION
