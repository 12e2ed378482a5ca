"""Watching the desk over real sockets: nothing missed, nothing betrayed, nothing that hangs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import UUID, uuid4

import grpc
import psycopg
import pytest

from portcullis import review as client
from portcullis.profile import Profile
from portcullis.review import ReviewClient
from portcullis.v1 import review_pb2 as pb
from portcullis.v1 import review_pb2_grpc as stubs
from services.commands.default_policy import DEFAULT_POLICY
from services.core.clearance import create_keys
from services.core.config import HouseSettings
from services.core.evidence import create_evidence_key
from services.core.policy.review_rules import ReviewRules
from services.core.rpc import server as servers
from services.core.rpc import tls
from services.core.rpc.channel import connect
from services.core.store import decisions, events, policies, review_items, routings, tenants
from services.core.store.database import Database
from services.core.store.decisions import Decision
from services.core.store.review_items import NewReviewItem
from services.core.verdicts import Reason, Verdict
from services.review.__main__ import build
from services.review.routing import route

# A draw for a second look would tell of a decision that it was none.
POLICY = DEFAULT_POLICY.read_text(encoding="utf-8") + "\nreview: {queues: {default: {second_review: 0}}}\n"
ALICE, EVE, FAY = "analyst/alice", "sealed/eve", "sealed/fay"
Stub = stubs.ReviewServiceStub
Stream = AsyncIterator[pb.WatchItemsResponse]


class Desk:
    """A running desk; `stop` ends it as SIGTERM would."""

    def __init__(self, house: HouseSettings, db: Database) -> None:
        self.house = house
        self.db = db
        self.stopping = asyncio.Event()
        self.task = asyncio.create_task(servers.serve("review", build, house, self.stopping))

    @asynccontextmanager
    async def as_(self, identity: str) -> AsyncIterator[Stub]:
        async with connect(self.house, identity, "review") as channel:
            yield stubs.ReviewServiceStub(channel)

    async def open_case(self, category: str = "violence") -> str:
        reason = Reason(category, "says why", 0.8, 0.7, Verdict.REVIEW)
        sealed = category == "sexual.minors"
        item = NewReviewItem(uuid4(), "prompt", Verdict.REVIEW, (reason,), held=True, sealed=sealed)
        decision = Decision(
            uuid4(), uuid4(), "acme", "user-1", "create", Verdict.REVIEW, (reason,), (), "ab" * 32, (), {}
        )
        async with self.db.transaction() as conn:
            await tenants.create_tenant(conn, "acme")
            await decisions.record(conn, decision, [item])
        return str(item.item_id)

    async def route(self, item_id: str) -> None:
        async with self.db.transaction() as conn:
            found = await review_items.get(conn, UUID(item_id))
            assert found is not None
            await routings.route(conn, found.item_id, route(found, ReviewRules(), found.created_at), "review")

    async def stop(self) -> None:
        self.stopping.set()
        await self.task


@pytest.fixture
async def desk(
    tmp_path: Path, database: str, db: Database, monkeypatch: pytest.MonkeyPatch, new_port_base: Callable[[], int]
) -> AsyncIterator[Desk]:
    monkeypatch.setenv("PORTCULLIS_REVIEW_METRICS_PORT", "0")
    monkeypatch.setenv("PORTCULLIS_REVIEW_POLL_SECONDS", "1")
    tls.create_ca(tmp_path / "tls")
    for identity in ("review", ALICE, EVE, FAY):
        tls.issue_certificate(tmp_path / "tls", identity)
    create_evidence_key(tmp_path / "keys" / "evidence.key")
    create_keys(tmp_path / "keys" / "clearance")
    async with db.transaction() as conn:
        await policies.ensure_default(conn, POLICY, "test")
    desk = Desk(HouseSettings(home=tmp_path, dsn=database, port_base=new_port_base(), drain_seconds=30), db)
    yield desk
    await desk.stop()


async def watch(stub: Stub, queue: str = "", cursor: int = 0) -> Stream:
    """A stream from now on: its first answer says where that is."""
    call = stub.WatchItems(pb.WatchItemsRequest(queue=queue, cursor=cursor), timeout=30, wait_for_ready=True)
    stream = call.__aiter__()
    if not cursor:
        first = await anext(stream)
        assert (first.event, first.HasField("item"), first.cursor > 0) == ("now", False, True)
    return stream


async def told(stream: Stream, count: int) -> list[pb.WatchItemsResponse]:
    return [await anext(stream) for _ in range(count)]


def names(changes: list[pb.WatchItemsResponse]) -> list[tuple[str, str]]:
    return [(change.item.item_id, change.event) for change in changes]


async def test_each_step_of_a_case_is_told_as_it_happens(desk: Desk) -> None:
    async with desk.as_(ALICE) as alice:
        stream = await watch(alice)
        item_id = await desk.open_case()
        await desk.route(item_id)
        claimed = await alice.ClaimItem(pb.ClaimItemRequest(item_id=item_id), timeout=10)
        decision = pb.DecideItemRequest(
            item_id=item_id, claim_token=claimed.claim_token, resolution=pb.RESOLUTION_UPHOLD
        )
        decided = await alice.DecideItem(decision, timeout=10)

        changes = await told(stream, 4)

    assert names(changes) == [(item_id, event) for event in ("opened", "queued", "claimed", "decided")]
    assert changes[-1].item == decided.item
    assert [change.cursor for change in changes] == sorted({change.cursor for change in changes})


async def test_who_comes_back_with_his_cursor_has_missed_nothing(desk: Desk) -> None:
    async with desk.as_(ALICE) as alice:
        first = await desk.open_case()
        stream = await watch(alice)
        second = await desk.open_case()
        [change] = await told(stream, 1)
        third = await desk.open_case()

        again = await watch(alice, cursor=change.cursor)

        assert first != second
        assert names(await told(again, 1)) == [(third, "opened")]


async def test_sealed_cases_are_told_to_the_sealed_role_alone(desk: Desk) -> None:
    async with desk.as_(ALICE) as alice, desk.as_(EVE) as eve:
        to_alice, to_eve = await watch(alice), await watch(eve)
        hidden = await desk.open_case("sexual.minors")
        seen = await desk.open_case()

        assert names(await told(to_eve, 2)) == [(hidden, "opened"), (seen, "opened")]
        assert names(await told(to_alice, 1)) == [(seen, "opened")]


async def test_a_past_with_sealed_cases_in_it_shows_none(desk: Desk) -> None:
    async with desk.as_(ALICE) as alice:
        stream = await watch(alice)
        await desk.open_case()
        [start] = await told(stream, 1)
        await desk.open_case("sexual.minors")
        seen = await desk.open_case()

        assert names(await told(await watch(alice, cursor=start.cursor), 1)) == [(seen, "opened")]


async def test_a_first_blind_look_is_told_as_if_the_case_was_given_back(desk: Desk) -> None:
    async with desk.as_(EVE) as eve, desk.as_(FAY) as fay:
        hidden = await desk.open_case("sexual.minors")
        await desk.route(hidden)
        stream = await watch(fay)
        claimed = await eve.ClaimItem(pb.ClaimItemRequest(item_id=hidden), timeout=10)
        judgement = pb.DecideItemRequest(
            item_id=hidden, claim_token=claimed.claim_token, resolution=pb.RESOLUTION_UPHOLD, comment="says why"
        )
        await eve.DecideItem(judgement, timeout=10)

        changes = await told(stream, 2)
        listed = await fay.ListItems(pb.ListItemsRequest(), timeout=10)

    assert names(changes) == [(hidden, "claimed"), (hidden, "released")]
    assert list(listed.items) == [changes[-1].item]
    assert (changes[-1].item.decided_by, changes[-1].item.resolution) == ("", pb.RESOLUTION_UNSPECIFIED)


async def test_one_queue_can_be_watched_alone(desk: Desk) -> None:
    async with desk.as_(EVE) as eve:
        stream = await watch(eve, queue="sealed")
        await desk.route(await desk.open_case())
        hidden = await desk.open_case("sexual.minors")
        await desk.route(hidden)

        changes = await told(stream, 1)

    assert (changes[0].item.item_id, changes[0].item.queue) == (hidden, "sealed")


async def test_fifty_watchers_share_one_listener_and_one_reader(desk: Desk, database: str) -> None:
    async with desk.as_(ALICE) as alice:
        streams = [await watch(alice) for _ in range(50)]
        before = await scans(database)
        items = [await desk.open_case() for _ in range(20)]

        changes = await asyncio.gather(*(told(stream, 20) for stream in streams))
        after = await scans(database)
        with psycopg.connect(database) as conn:
            listeners = conn.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN%'"
            ).fetchone()

    assert all([change.item.item_id for change in found] == items for found in changes)
    assert listeners == (1,)
    assert after - before < 200  # one for each would be a thousand


async def scans(database: str) -> int:
    """How often anybody has looked through the events."""
    await asyncio.sleep(1.1)  # Postgres tells its counters once a second
    with psycopg.connect(database) as conn:
        row = conn.execute("SELECT seq_scan + idx_scan FROM pg_stat_user_tables WHERE relname = 'events'").fetchone()
    assert row is not None
    return int(row[0])


async def test_a_lost_connection_delays_and_loses_nothing(desk: Desk, database: str) -> None:
    async with desk.as_(ALICE) as alice:
        stream = await watch(alice)
        with psycopg.connect(database, autocommit=True) as conn:
            conn.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND query LIKE 'LISTEN%'"
            )
        item_id = await desk.open_case()

        assert names(await told(stream, 1)) == [(item_id, "opened")]


async def test_a_case_committed_behind_a_slow_transaction_is_told_when_that_ends(desk: Desk, db: Database) -> None:
    async with desk.as_(ALICE) as alice:
        stream = await watch(alice)
        async with db.transaction() as slow:
            await slow.execute("SELECT pg_current_xact_id()")
            item_id = await desk.open_case()
            await asyncio.sleep(0.2)

        assert names(await told(stream, 1)) == [(item_id, "opened")]


async def test_a_stop_ends_every_stream_well_and_does_not_wait_for_them(desk: Desk) -> None:
    async with desk.as_(ALICE) as alice:
        streams = [await watch(alice) for _ in range(5)]

        async with asyncio.timeout(10):  # of 30 seconds to drain
            await desk.stop()
            left = [[change async for change in stream] for stream in streams]

    assert left == [[]] * 5


async def test_a_stream_ends_with_its_deadline_and_frees_its_place(desk: Desk) -> None:
    async with desk.as_(ALICE) as alice:
        await watch(alice)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            async for _ in alice.WatchItems(pb.WatchItemsRequest(), timeout=0.5):
                pass
        item_id = await desk.open_case()
        stream = await watch(alice)
        await desk.route(item_id)

        assert names(await told(stream, 1)) == [(item_id, "queued")]
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED


async def refusal(stub: Stub, request: pb.WatchItemsRequest) -> grpc.StatusCode:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        async for _ in stub.WatchItems(request, timeout=10, wait_for_ready=True):
            pass
    return caught.value.code()


async def test_a_cursor_from_before_what_is_kept_is_refused(desk: Desk, db: Database) -> None:
    async with desk.as_(ALICE) as alice:
        stream = await watch(alice)
        await desk.open_case()
        [old] = await told(stream, 1)
        async with db.transaction() as conn:
            await conn.execute("UPDATE events SET at = at - interval '31 days'")
        async with db.transaction() as conn:
            await events.forget(conn, 30, 100)

        code = await refusal(alice, pb.WatchItemsRequest(cursor=old.cursor))

    assert code is grpc.StatusCode.FAILED_PRECONDITION


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (pb.WatchItemsRequest(cursor=2**64 - 1), grpc.StatusCode.FAILED_PRECONDITION),
        (pb.WatchItemsRequest(queue="No Such; Queue"), grpc.StatusCode.INVALID_ARGUMENT),
    ],
)
async def test_what_makes_no_sense_is_refused(
    desk: Desk, request_: pb.WatchItemsRequest, code: grpc.StatusCode
) -> None:
    async with desk.as_(ALICE) as alice:
        assert await refusal(alice, request_) is code


async def test_the_client_calls_again_after_each_deadline_and_misses_nothing(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "_WATCH_SECONDS", 0.5)
    async with desk.as_(ALICE) as alice:
        await watch(alice)  # it listens
    certificate = tls.certificate_path(desk.house.home / "tls", ALICE)
    profile = Profile(
        address="nowhere:1",
        api_key="none",
        review_address=desk.house.target("review"),
        ca=desk.house.home / "tls" / "ca.pem",
        analyst_cert=certificate,
        analyst_key=certificate.with_suffix(".key"),
    )
    with ReviewClient(profile) as reviewer:
        changes = reviewer.watch_items()
        first = await asyncio.to_thread(next, changes)
        coming = asyncio.create_task(asyncio.to_thread(next, changes))
        await asyncio.sleep(1.2)  # two deadlines
        item_id = await desk.open_case()

        second = await coming

    assert (first.event, second.event, second.item.item_id) == ("now", "opened", item_id)
