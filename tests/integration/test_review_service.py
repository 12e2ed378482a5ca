"""The analysts' desk over real sockets, mutual TLS and a real Postgres."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import cast
from uuid import UUID, uuid4

import grpc
import pytest
from typer.testing import CliRunner

from portcullis.cli.review import app
from portcullis.v1 import review_pb2 as pb
from portcullis.v1 import review_pb2_grpc as stubs
from services.commands.default_policy import DEFAULT_POLICY
from services.core.clearance import create_keys
from services.core.config import HouseSettings
from services.core.evidence import EvidenceStore, create_evidence_key
from services.core.policy.review_rules import ReviewRules
from services.core.rpc import server as servers
from services.core.rpc import tls
from services.core.rpc.channel import connect
from services.core.store import decisions, evidence_rows, policies, review_events, review_items, routings, tenants
from services.core.store.database import Database
from services.core.store.decisions import Decision
from services.core.store.review_items import NewReviewItem
from services.core.verdicts import Reason, Verdict
from services.review.__main__ import build
from services.review.routing import route
from tests.rooms import as_room

ALICE, BOB, EVE, SUE = "analyst/alice", "analyst/bob", "sealed/eve", "senior/sue"
HTML = "<script>alert(1)</script><b>&amp;"
# Nobody is drawn, so that each test knows what a decision leads to.
NO_SECOND_LOOK = DEFAULT_POLICY.read_text(encoding="utf-8") + "\nreview:\n  queues:\n    default: {second_review: 0}\n"
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

    async def open_case(self, category: str = "violence", account: str = "user-1") -> str:
        """A case as the gateway opens it and the worker routes it."""
        reason = Reason(category, "says why", 0.8, 0.7, Verdict.REVIEW)
        blob = self.evidence.put(PROMPT.encode())
        sealed = category == "sexual.minors"
        item = NewReviewItem(uuid4(), "prompt", Verdict.REVIEW, (reason,), held=True, sealed=sealed, prompt=blob.id)
        decision = Decision(
            uuid4(), uuid4(), "acme", account, "create", Verdict.REVIEW, (reason,), (), "ab" * 32, (), {}
        )
        async with self.db.transaction() as conn:
            await tenants.create_tenant(conn, "acme")
            await evidence_rows.record(conn, "acme", "prompt", blob, timedelta(days=1))
            await decisions.record(conn, decision, [item])
            found = await review_items.get(conn, item.item_id)
            assert found is not None
            await routings.route(conn, item.item_id, route(found, ReviewRules(), found.created_at), "review")
        return str(item.item_id)


@pytest.fixture
async def desk(
    tmp_path: Path, database: str, db: Database, monkeypatch: pytest.MonkeyPatch, new_port_base: Callable[[], int]
) -> AsyncIterator[Desk]:
    monkeypatch.setenv("PORTCULLIS_REVIEW_METRICS_PORT", "0")
    tls.create_ca(tmp_path / "tls")
    for identity in ("review", "gateway", ALICE, BOB, EVE, SUE):
        tls.issue_certificate(tmp_path / "tls", identity)
    create_evidence_key(tmp_path / "keys" / "evidence.key")
    create_keys(tmp_path / "keys" / "clearance")
    async with db.transaction() as conn:
        await policies.ensure_default(conn, NO_SECOND_LOOK, "test")
    port_base = new_port_base()
    house = HouseSettings(home=tmp_path, dsn=database, port_base=port_base, drain_seconds=1)
    stopping = asyncio.Event()
    task = asyncio.create_task(servers.serve("review", build, as_room(house, "review"), stopping))
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


async def look(stub: Stub, item_id: str) -> pb.GetItemResponse:
    return await stub.GetItem(pb.GetItemRequest(item_id=item_id), timeout=10, wait_for_ready=True)


async def comment(stub: Stub, item_id: str, text: str) -> pb.ItemComment:
    request = pb.CommentItemRequest(item_id=item_id, text=text)
    return (await stub.CommentItem(request, timeout=10, wait_for_ready=True)).comment


async def preview(stub: Stub, ids: list[str]) -> pb.PreviewDecisionsResponse:
    return await stub.PreviewDecisions(pb.PreviewDecisionsRequest(item_ids=ids), timeout=10, wait_for_ready=True)


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
        assert await code_of(look(alice, item_id)) is grpc.StatusCode.NOT_FOUND
        assert await code_of(comment(alice, item_id, "seen?")) is grpc.StatusCode.NOT_FOUND


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
    "state": lambda stub, _: listed(stub, state=cast(pb.ItemState.ValueType, 99)),
    "kind": lambda stub, _: stub.ListItems(
        pb.ListItemsRequest(kind=cast(pb.ItemKind.ValueType, 99)), timeout=10, wait_for_ready=True
    ),
    "item to look at": lambda stub, _: look(stub, "not-a-uuid"),
    "empty comment": lambda stub, item_id: comment(stub, item_id, " "),
    "added comment of 1 MB": lambda stub, item_id: comment(stub, item_id, "c" * 2**20),
    "skip without a reason": lambda stub, item_id: stub.SkipItem(
        pb.SkipItemRequest(item_id=item_id, claim_token="x"), timeout=10, wait_for_ready=True
    ),
    "also": lambda stub, item_id: stub.DecideItem(
        pb.DecideItemRequest(item_id=item_id, claim_token="x", resolution=pb.RESOLUTION_UPHOLD, also=["none"]),
        timeout=10,
        wait_for_ready=True,
    ),
    "no items to preview": lambda stub, _: preview(stub, []),
    "too many items to preview": lambda stub, item_id: preview(stub, [item_id] * 501),
    "preview token": lambda stub, _: stub.DecideItems(
        pb.DecideItemsRequest(preview_token="", resolution=pb.RESOLUTION_UPHOLD, comment="c"),
        timeout=10,
        wait_for_ready=True,
    ),
    "batch id": lambda stub, _: stub.UndoDecision(
        pb.UndoDecisionRequest(batch_id="last"), timeout=10, wait_for_ready=True
    ),
    "comment with NUL": lambda stub, item_id: decide(stub, item_id, "x", comment="\x00"),
    "no token": lambda stub, item_id: decide(stub, item_id, ""),
}


async def test_bad_input_is_named(desk: Desk) -> None:
    async with desk.as_(ALICE) as alice:
        codes = {what: await code_of(call(alice, str(uuid4()))) for what, call in BAD_INPUT.items()}

    assert codes == dict.fromkeys(BAD_INPUT, grpc.StatusCode.INVALID_ARGUMENT)


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


async def test_an_item_is_looked_at_with_its_comments(desk: Desk) -> None:
    item_id = await desk.open_case()

    async with desk.as_(ALICE) as alice, desk.as_(BOB) as bob:
        await comment(alice, item_id, "seen on two other accounts")
        seen = await look(bob, item_id)

    assert (seen.item.item_id, seen.item.case_size, seen.item.case_head) == (item_id, 1, "")
    assert [(one.author, one.text) for one in seen.comments] == [(ALICE, "seen on two other accounts")]


async def test_markup_is_kept_as_the_text_that_it_is(desk: Desk) -> None:
    item_id = await desk.open_case(account=HTML)

    async with desk.as_(ALICE) as alice:
        kept = await comment(alice, item_id, HTML)
        claimed = await claim(alice, item_id)
        await decide(alice, item_id, claimed.claim_token, comment=HTML)
        seen = await look(alice, item_id)

    async with desk.db.transaction() as conn:
        last = (await review_events.of_item(conn, UUID(item_id)))[-1]
    assert (kept.text, seen.comments[0].text, seen.item.account, last.detail["comment"]) == (HTML,) * 4


async def test_a_skipped_item_is_offered_to_others(desk: Desk) -> None:
    item_id = await desk.open_case()

    async with desk.as_(ALICE) as alice, desk.as_(BOB) as bob:
        claimed = await claim(alice)
        request = pb.SkipItemRequest(item_id=item_id, claim_token=claimed.claim_token, reason="I know them")
        await alice.SkipItem(request, timeout=10)
        assert await code_of(claim(alice)) is grpc.StatusCode.NOT_FOUND
        assert (await claim(bob)).item.item_id == item_id


async def test_many_are_previewed_decided_and_taken_back(desk: Desk) -> None:
    ids = [await desk.open_case() for _ in range(3)]
    strange = str(uuid4())

    async with desk.as_(SUE) as sue:
        seen = await preview(sue, [*ids, strange])
        request = pb.DecideItemsRequest(
            preview_token=seen.preview_token, resolution=pb.RESOLUTION_UPHOLD, comment="one wave"
        )
        done = await sue.DecideItems(request, timeout=10)
        back = await sue.UndoDecision(pb.UndoDecisionRequest(batch_id=done.batch_id), timeout=10)

    assert ([item.item_id for item in seen.items], list(seen.left_out)) == (ids, [strange])
    assert {item.state for item in done.items} == {pb.ITEM_STATE_DECIDED}
    assert {item.state for item in back.items} == {pb.ITEM_STATE_QUEUED}


async def test_deciding_many_is_not_for_everybody(desk: Desk) -> None:
    async with desk.as_(ALICE) as alice:
        assert await code_of(preview(alice, [str(uuid4())])) is grpc.StatusCode.PERMISSION_DENIED


async def test_an_item_that_waits_for_a_second_look_shows_no_first(desk: Desk) -> None:
    item_id = await desk.open_case("sexual.minors")

    async with desk.as_(EVE) as eve:
        claimed = await claim(eve, item_id)
        answered = await decide(eve, item_id, claimed.claim_token)
        seen = (await look(eve, item_id)).item

    assert answered.batch_id
    assert (seen.state, seen.resolution, seen.batch_id, seen.decided_by) == (pb.ITEM_STATE_QUEUED, 0, "", "")
    assert not seen.HasField("effective_at")


async def test_what_was_decided_names_its_batch_and_can_be_taken_back(desk: Desk) -> None:
    item_id = await desk.open_case()

    async with desk.as_(ALICE) as alice, desk.as_(BOB) as bob:
        claimed = await claim(alice, item_id)
        item = await decide(alice, item_id, claimed.claim_token)
        request = pb.UndoDecisionRequest(batch_id=item.batch_id)
        assert await code_of(bob.UndoDecision(request, timeout=10)) is grpc.StatusCode.NOT_FOUND
        await alice.UndoDecision(request, timeout=10)
        assert await listed(alice, state=pb.ITEM_STATE_QUEUED) == [item_id]


async def test_everything_can_be_done_at_a_terminal(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    ids = [await desk.open_case(account="<b>[red]user[/]") for _ in range(3)]
    certificate = tls.certificate_path(desk.house.home / "tls", SUE)
    for name, value in {
        "PORTCULLIS_ADDRESS": "localhost:1",
        "PORTCULLIS_API_KEY": "none",
        "PORTCULLIS_CA": str(desk.house.home / "tls" / "ca.pem"),
        "PORTCULLIS_REVIEW_ADDRESS": desk.house.target("review").removeprefix("dns:///"),
        "PORTCULLIS_ANALYST_CERT": str(certificate),
        "PORTCULLIS_ANALYST_KEY": str(certificate.with_suffix(".key")),
        "XDG_STATE_HOME": str(tmp_path / "state"),
        "COLUMNS": "200",
    }.items():
        monkeypatch.setenv(name, value)
    async with desk.as_(SUE) as sue:
        await listed(sue)  # the desk is up

    async def run(*arguments: str) -> str:
        result = await asyncio.to_thread(CliRunner().invoke, app, list(arguments))
        assert result.exit_code == 0, (arguments, result.output, result.exception)
        return result.output

    listing = await run("list", "--kind", "content")
    assert all(item_id in listing for item_id in ids)
    assert "nothing waits" in await run("list", "--kind", "appeal")
    await run("claim", ids[0])
    assert "yours until" in await run("renew", ids[0])
    await run("skip", ids[0], "--reason", "not mine")
    await run("comment", ids[0], "[bold]seen[/] \x1b[2J" + HTML)
    shown = await run("show", ids[0])
    await run("claim", ids[0])
    decided = await run("decide", ids[0], "uphold")
    back = await run("undo", decided.split()[-1])
    many = await run("decide-many", "uphold", *ids, "--comment", "one wave", "--yes")

    assert f"[bold]seen[/] <U+001B>[2J{HTML}" in shown
    assert "<b>[red]user[/]" in shown
    assert ids[0] in back
    assert "decided 3" in many
