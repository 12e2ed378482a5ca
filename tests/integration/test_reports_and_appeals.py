"""Reports, withdrawals and appeals over real sockets: gateway, provenance and review as they run, on a real Postgres.

The image filter alone answers as the test says: what it finds is its own tests' concern.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from uuid import UUID, uuid4

import grpc
import numpy as np
import pytest
from click.testing import Result
from typer.testing import CliRunner

from portcullis import AsyncClient, PortcullisError, Profile
from portcullis.v1 import checks_pb2 as pb
from portcullis.v1 import gateway_pb2 as api
from portcullis.v1 import (
    image_filter_pb2,
    image_filter_pb2_grpc,
    provenance_pb2,
    provenance_pb2_grpc,
    review_pb2,
    review_pb2_grpc,
)
from services.commands import images as images_command
from services.commands.provision import provision
from services.core.clearance import Claim, ClearanceSigner
from services.core.config import HouseSettings
from services.core.evidence import EvidenceStore
from services.core.imaging import encode, sanitise
from services.core.rpc import server as servers
from services.core.rpc import tls
from services.core.rpc.channel import connect
from services.core.store import audit, decisions, evidence_rows, images, outbox, stops, tenants
from services.core.store.database import Database
from services.core.store.decisions import Decision
from services.core.store.stops import Stop
from services.core.verdicts import Reason, Verdict
from services.gateway.__main__ import build as build_gateway
from services.provenance.__main__ import build as build_provenance
from services.review.__main__ import build as build_review
from services.review.tasks import route_pending, settle_decided
from services.review.withdrawing import withdraw_waiting
from tests.rooms import as_room

HTML = '<img src=x onerror="alert(1)">'
PLAIN = pb.Check(verdict=pb.VERDICT_ALLOW, clearance="token", policy="ab" * 32)
REASON = Reason("violence", "says why", 0.9, 0.8, Verdict.BLOCK)


class Filter(image_filter_pb2_grpc.ImageFilterServiceServicer):
    """Re-encodes, and finds what the test says."""

    def __init__(self) -> None:
        self.check = PLAIN

    async def CheckImages(self, request: image_filter_pb2.CheckImagesRequest, context: object) -> object:
        checked = [
            image_filter_pb2.CheckedImage(check=self.check, image=sanitise(one.image).png) for one in request.images
        ]
        return image_filter_pb2.CheckImagesResponse(images=checked)


@dataclass
class House:
    """A running house, seen from all sides."""

    settings: HouseSettings
    db: Database
    client: AsyncClient
    filter: Filter
    pictures: int = 0

    async def release(self, account: str = "user-1", tenant: str = "demo") -> tuple[bytes, UUID, UUID]:
        """A picture that was made here: the file, its id and its decision."""
        self.pictures += 1
        pixels = np.full((256, 256, 3), (240, 220, 40), np.uint8)
        pixels[60:200, 10 + 50 * self.pictures : 100 + 50 * self.pictures] = (200, 30, 30)
        image = encode(pixels)
        decision = Decision(uuid4(), uuid4(), tenant, account, "create", Verdict.ALLOW, (), (), "ab" * 32, (), {})
        async with self.db.transaction() as conn:
            await conn.execute("INSERT INTO accounts (tenant, account) VALUES (%s, %s)", [tenant, account])
            await decisions.record(conn, decision, [])
        digests = {"image": hashlib.sha256(image).hexdigest(), "request": "ab" * 32}
        signer = ClearanceSigner.load(self.settings.home / "keys/clearance", "image_filter", timedelta(minutes=5))
        request = provenance_pb2.MarkImageRequest(
            subject=pb.Subject(tenant=tenant, account=account),
            image=image,
            clearance=signer.issue(Claim(tenant, account, "output", digests, policy="cd" * 32)),
            request_digest="ab" * 32,
            decision_id=str(decision.decision_id),
            operation=pb.OPERATION_CREATE,
            model=pb.ModelVersion(name="scenes", version="1"),
        )
        async with connect(self.settings, "gateway", "provenance") as channel:
            marked = await provenance_pb2_grpc.ProvenanceServiceStub(channel).MarkImage(request, timeout=20)
        return marked.image, UUID(marked.provenance.image_id), decision.decision_id

    async def refuse(self, category: str = "violence", account: str = "user-1", days_ago: int = 0) -> UUID:
        """A refused request, with its prompt kept."""
        reason = Reason(category, "says why", 0.9, 0.8, Verdict.BLOCK)
        evidence = EvidenceStore(self.settings.home / "evidence", self.settings.home / "keys/evidence.key")
        blob = evidence.put(b"the words that were refused")
        decision = Decision(uuid4(), uuid4(), "demo", account, "create", Verdict.BLOCK, (reason,), (), "", (), {})
        blocked = Stop(
            decision_id=decision.decision_id,
            place=0,
            tenant="demo",
            account=account,
            stage="prompt",
            output=0,
            verdict=Verdict.BLOCK,
            held=False,
            reasons=(reason,),
            signals=(),
            models=(),
            policy="",
            digests={},
            sketch=b"",
            prompt=blob.id,
        )
        async with self.db.transaction() as conn:
            await conn.execute("INSERT INTO accounts VALUES ('demo', %s) ON CONFLICT DO NOTHING", [account])
            await evidence_rows.record(conn, "demo", "prompt", blob, timedelta(days=1))
            await decisions.record(conn, decision, [])
            await stops.record(conn, [blocked])
            await conn.execute("ALTER TABLE decisions DISABLE TRIGGER decisions_append_only")
            await conn.execute(
                "UPDATE decisions SET created_at = created_at - make_interval(days => %s) WHERE decision_id = %s",
                [days_ago, decision.decision_id],
            )
            await conn.execute("ALTER TABLE decisions ENABLE TRIGGER decisions_append_only")
        return decision.decision_id

    @asynccontextmanager
    async def as_(self, identity: str) -> AsyncIterator[review_pb2_grpc.ReviewServiceStub]:
        tls.issue_certificate(self.settings.home / "tls", identity)
        async with connect(self.settings, identity, "review") as channel:
            yield review_pb2_grpc.ReviewServiceStub(channel)

    async def items(self, kind: str) -> list[UUID]:
        """The cases of a kind, routed as the worker would."""
        async with self.db.transaction() as conn:
            found = await conn.execute("SELECT item_id FROM review_items WHERE kind = %s ORDER BY created_at", [kind])
            ids = [row[0] for row in await found.fetchall()]
        for item_id in ids:
            await route_pending(self.db, item_id)
        return ids

    async def decide(self, item_id: UUID, resolution: review_pb2.Resolution.ValueType) -> None:
        """What one person does, and another where a second look is due, and then the worker."""
        state = review_pb2.ITEM_STATE_QUEUED
        people = iter(("senior/bob", "senior/cora"))
        while state != review_pb2.ITEM_STATE_DECIDED:
            async with self.as_(next(people)) as desk:
                claimed = await desk.ClaimItem(review_pb2.ClaimItemRequest(item_id=str(item_id)), timeout=10)
                request = review_pb2.DecideItemRequest(
                    item_id=str(item_id), claim_token=claimed.claim_token, resolution=resolution
                )
                state = (await desk.DecideItem(request, timeout=10)).item.state
        assert await settle_decided(self.db, item_id)


@pytest.fixture
async def house(
    tmp_path: Path, database: str, db: Database, monkeypatch: pytest.MonkeyPatch, new_port_base: Callable[[], int]
) -> AsyncIterator[House]:
    for room in ("PROVENANCE", "REVIEW", "GATEWAY"):
        monkeypatch.setenv(f"PORTCULLIS_{room}_METRICS_PORT", "0")
    monkeypatch.setenv("PORTCULLIS_REVIEW_UNDO_SECONDS", "0")
    settings = HouseSettings(home=tmp_path, dsn=database, port_base=new_port_base(), drain_seconds=1)
    await provision(settings)
    judge = Filter()
    images_server = grpc.aio.server()
    image_filter_pb2_grpc.add_ImageFilterServiceServicer_to_server(judge, images_server)
    credentials = tls.server_credentials(tmp_path / "tls", "image_filter", require_client=True)
    images_server.add_secure_port(f"127.0.0.1:{settings.port('image_filter')}", credentials)
    await images_server.start()
    stopping = asyncio.Event()
    builds = {"provenance": build_provenance, "review": build_review, "gateway": build_gateway}
    tasks = [
        asyncio.create_task(servers.serve(room, build, as_room(settings, room), stopping))
        for room, build in builds.items()
    ]
    async with AsyncExitStack() as stack:
        for room in builds:
            await _listening(settings.port(room))
        profile = Profile.model_validate_json((tmp_path / "client.json").read_text())
        client = await stack.enter_async_context(AsyncClient(profile, deadline=20))
        yield House(settings, db, client, judge)
    stopping.set()
    await asyncio.gather(*tasks)
    await images_server.stop(None)


async def _listening(port: int) -> None:
    async with asyncio.timeout(30):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except ConnectionRefusedError:
                await asyncio.sleep(0.02)
            else:
                writer.close()
                return


async def refused(call: object) -> tuple[str, str]:
    with pytest.raises(PortcullisError) as caught:
        await call
    return caught.value.code, caught.value.reason


async def test_an_upheld_report_withdraws_the_picture_and_whatever_kept_it(house: House) -> None:
    file, image_id, decision_id = await house.release()
    reported = await house.client.report_image(file, reporter="a@b", category="violence", statement=HTML)
    (item_id,) = await house.items("report")

    await house.decide(item_id, review_pb2.RESOLUTION_UPHOLD)
    assert await withdraw_waiting(house.settings, house.db, image_id)

    decision = await house.client.get_decision(str(decision_id))
    again = await house.client.report_image(file, reporter="c@d")
    assert reported.report_id
    assert (await house.client.inspect_image(file)).withdrawn
    assert await refused(house.client.check_upload(file, account="user-2")) == (
        "FAILED_PRECONDITION",
        "IMAGE_WITHDRAWN",
    )
    assert [image.withdrawn for image in decision.images] == [True]
    assert (again.withdrawn, again.report_id) == (True, "")
    assert not await withdraw_waiting(house.settings, house.db, image_id)


async def test_the_analyst_sees_the_picture_what_is_in_it_and_what_is_said_of_it(house: House) -> None:
    file, _, decision_id = await house.release()
    box = pb.Reason(category="hate", verdict=pb.VERDICT_REVIEW, evidence=[{"box": {"x": 1, "y": 2, "w": 3, "h": 4}}])
    house.filter.check = pb.Check(verdict=pb.VERDICT_REVIEW, reasons=[box], policy="ab" * 32)
    await house.client.report_image(file, reporter="a@b", category="violence", statement=HTML)
    (item_id,) = await house.items("report")

    async with house.as_("analyst/ann") as desk:
        claimed = await desk.ClaimItem(review_pb2.ClaimItemRequest(item_id=str(item_id)), timeout=10)

    assert claimed.content.image == sanitise(file).png
    assert list(claimed.content.statements) == [HTML]
    assert [(reason.category, len(reason.evidence)) for reason in claimed.item.reasons] == [
        ("hate", 1),
        ("violence", 0),
    ]
    assert (claimed.item.account, claimed.item.decision_id) == ("user-1", str(decision_id))


async def test_reports_of_copies_join_one_case_and_those_of_one_reporter_are_one(house: House) -> None:
    file, _, _ = await house.release()
    copy = encode(np.asarray(sanitise(file).rgb), "JPEG")

    reports = [
        await house.client.report_image(picture, reporter=reporter)
        for picture, reporter in ((file, "ann"), (copy, "bob"), (copy, "ann"))
    ]

    assert len(await house.items("report")) == 1
    assert reports[0].report_id == reports[2].report_id != reports[1].report_id
    async with house.db.transaction() as conn:
        urgency = await conn.execute("SELECT urgency FROM review_items")
        assert await urgency.fetchall() == [(1,)]


async def test_a_repeated_call_reports_once_and_says_the_same(house: House) -> None:
    file, _, _ = await house.release()
    request_id = str(uuid4())

    answers = [await house.client.report_image(file, reporter="ann", request_id=request_id) for _ in range(2)]

    assert answers[0] == answers[1]
    assert await refused(house.client.report_image(file, reporter="bob", request_id=request_id)) == (
        "ALREADY_EXISTS",
        "REQUEST_ID_REUSED",
    )


async def test_who_complained_in_bad_faith_is_answered_and_opens_no_case_until_another_does(house: House) -> None:
    file, _, _ = await house.release()
    other, _, _ = await house.release("user-2")
    await house.client.report_image(other, reporter="liar")
    async with house.db.transaction() as conn:
        await conn.execute("UPDATE reporters SET dismissed = 9")
        await conn.execute("UPDATE review_items SET kind = 'content'")  # out of the way

    answer = await house.client.report_image(file, reporter="liar", statement="again")

    assert answer.report_id
    assert await house.items("report") == []
    await house.client.report_image(file, reporter="ann", statement="and I")
    (item_id,) = await house.items("report")
    async with house.as_("analyst/ann") as desk:
        claimed = await desk.ClaimItem(review_pb2.ClaimItemRequest(item_id=str(item_id)), timeout=10)
    assert list(claimed.content.statements) == ["again", "and I"]


async def test_a_report_about_minors_is_for_the_sealed_role_and_tells_nobody_else(house: House) -> None:
    file, _, decision_id = await house.release()
    await house.client.report_image(file, reporter="ann")

    sealed = await house.client.report_image(file, reporter="bob", category="sexual.minors")

    (first, second) = await house.items("report")
    plain = await house.client.report_image(file, reporter="carl")
    decision = await house.client.get_decision(str(decision_id))
    assert sealed.notice == plain.notice
    assert list(decision.review_item_ids) == [str(first)]
    async with house.as_("analyst/ann") as desk:
        listed = await desk.ListItems(review_pb2.ListItemsRequest(), timeout=10)
        assert [item.item_id for item in listed.items] == [str(first)]
    async with house.as_("sealed/eve") as desk:
        claimed = await desk.ClaimItem(review_pb2.ClaimItemRequest(item_id=str(second)), timeout=10)
        assert claimed.item.queue == "sealed"


async def test_another_platforms_picture_is_looked_at_and_nothing_of_it_is_told(house: House) -> None:
    async with house.db.transaction() as conn:
        await tenants.create_tenant(conn, "other")
    file, _, decision_id = await house.release(tenant="other")

    answer = await house.client.report_image(file, reporter="ann")

    (item_id,) = await house.items("report")
    assert answer.origin == provenance_pb2.ORIGIN_OURS_INTACT
    assert str(decision_id) not in str(answer)
    async with house.as_("analyst/ann") as desk:
        claimed = await desk.ClaimItem(review_pb2.ClaimItemRequest(item_id=str(item_id)), timeout=10)
        assert claimed.item.tenant == "other"


async def test_a_strangers_picture_is_answered_and_nobody_looks(house: House) -> None:
    stranger = encode(np.random.default_rng(5).integers(0, 255, (64, 64, 3)).astype(np.uint8))

    answer = await house.client.report_image(stranger, reporter="ann")

    assert (answer.report_id, answer.origin) == ("", provenance_pb2.ORIGIN_NOT_FOUND)
    assert await house.items("report") == []


async def test_a_flood_of_reports_is_stopped_with_the_time_to_wait(house: House) -> None:
    stranger = encode(np.zeros((64, 64, 3), np.uint8))
    for _ in range(20):
        await house.client.report_image(stranger, reporter="ann")

    with pytest.raises(PortcullisError) as caught:
        await house.client.report_image(stranger, reporter="ann")

    await house.client.report_image(stranger, reporter="ben")
    assert caught.value.code == "RESOURCE_EXHAUSTED"
    assert 0 < (caught.value.retry_after or 0) <= 180


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"image": b"no picture"}, "INVALID_ARGUMENT"),
        ({"statement": "x" * 1_000_000}, "INVALID_ARGUMENT"),
        ({"category": HTML}, "INVALID_ARGUMENT"),
    ],
    ids=["no picture", "a long statement", "html"],
)
async def test_bad_reports_are_refused(house: House, fields: dict[str, str], code: str) -> None:
    picture = encode(np.zeros((64, 64, 3), np.uint8))

    assert (await refused(house.client.report_image(**{"image": picture, "reporter": "ann", **fields})))[0] == code


async def test_a_replay_of_an_answer_with_a_withdrawn_picture_is_refused_and_its_bytes_go(house: House) -> None:
    _, image_id, decision_id = await house.release()
    request = api.CreateImagesRequest(request_id=str(uuid4()), account="user-1", prompt="a circle")
    content = b"\0".join([b"CreateImagesRequest", request.SerializeToString(deterministic=True)])
    evidence = EvidenceStore(house.settings.home / "evidence", house.settings.home / "keys/evidence.key")
    answer = evidence.put(b"")
    async with house.db.transaction() as conn:
        await evidence_rows.record(conn, "demo", "answer", answer, timedelta(days=1))
        await conn.execute(
            "INSERT INTO requests VALUES"
            " ('demo', %s, %s, %s, 'answered', 1, now(), %s, now(), now() + interval '1 day')",
            [request.request_id, hashlib.sha256(content).digest(), decision_id, answer.id],
        )
        await outbox.add(conn, outbox.WITHDRAW_IMAGE, [image_id])
    await withdraw_waiting(house.settings, house.db, image_id)

    async def replay() -> None:
        async for _ in house.client.create_images("a circle", account="user-1", request_id=request.request_id):
            pass

    assert await refused(replay()) == ("FAILED_PRECONDITION", "IMAGE_WITHDRAWN")
    async with house.db.transaction() as conn:
        assert await evidence_rows.forget_expired(conn, 10) == [answer.id]


async def test_a_withdrawal_waits_for_provenance_and_is_not_forgotten(house: House) -> None:
    _, image_id, _ = await house.release()
    away = house.settings.model_copy(update={"port_base": house.settings.port_base + 5_000})
    async with house.db.transaction() as conn:
        await outbox.add(conn, outbox.WITHDRAW_IMAGE, [image_id])

    with pytest.raises(Exception, match="provenance"):
        await withdraw_waiting(away, house.db, image_id)

    async with house.db.transaction() as conn:
        assert await outbox.waits(conn, outbox.WITHDRAW_IMAGE, image_id)
        image = await images.get(conn, "demo", image_id)
        assert image is not None
        assert image.withdrawn_at is None


async def test_a_refused_prompt_is_appealed_and_granted(house: House) -> None:
    decision_id = await house.refuse()

    opened = await house.client.appeal_decision(str(decision_id), account="user-1", statement=HTML)

    (item_id,) = await house.items("appeal")
    async with house.as_("senior/bob") as desk:
        claimed = await desk.ClaimItem(review_pb2.ClaimItemRequest(item_id=str(item_id)), timeout=10)
    await house.decide(item_id, review_pb2.RESOLUTION_RELEASE)
    granted = (await house.client.get_decision(str(decision_id))).appeal
    assert (claimed.content.prompt, list(claimed.content.statements)) == ("the words that were refused", [HTML])
    assert (opened.state, granted.state) == (api.APPEAL_STATE_OPEN, api.APPEAL_STATE_GRANTED)
    assert opened.due_at.ToDatetime().strftime("%Y-%m-%d %H:%M") in opened.notice
    assert granted.notice.startswith("You were right")


async def test_what_cannot_be_appealed_is_said(house: House) -> None:
    refusal, sealed = await house.refuse(), await house.refuse("sexual.minors")
    late, gone = await house.refuse(days_ago=31), await house.refuse()
    _, _, allowed = await house.release("user-3")
    async with house.db.transaction() as conn:
        await conn.execute("UPDATE stops SET prompt = %s WHERE decision_id = %s", [uuid4(), gone])

    await house.client.appeal_decision(str(refusal), account="user-1")

    async def outcome(decision: object, account: str = "user-1") -> tuple[str, str]:
        return await refused(house.client.appeal_decision(str(decision), account=account))

    assert await outcome(refusal) == ("FAILED_PRECONDITION", "APPEALED_BEFORE")
    assert await outcome(sealed) == ("FAILED_PRECONDITION", "NOTHING_TO_APPEAL")
    assert await outcome(allowed, "user-3") == ("FAILED_PRECONDITION", "NOTHING_TO_APPEAL")
    assert await outcome(late) == ("FAILED_PRECONDITION", "APPEAL_TOO_LATE")
    assert await outcome(gone) == ("FAILED_PRECONDITION", "EVIDENCE_EXPIRED")
    assert await outcome(uuid4()) == ("NOT_FOUND", "DECISION_UNKNOWN")
    assert await outcome(refusal, "user-2") == ("NOT_FOUND", "DECISION_UNKNOWN")
    assert await outcome("", "user-1") == ("FAILED_PRECONDITION", "NOTHING_TO_APPEAL")
    assert await outcome("", "nobody") == ("NOT_FOUND", "ACCOUNT_UNKNOWN")


async def test_a_suspended_account_can_appeal_though_it_can_do_nothing_else(house: House) -> None:
    await house.refuse()
    async with house.db.transaction() as conn:
        await conn.execute("UPDATE accounts SET standing = 'suspended'")
    assert (await refused(house.client.check_prompt("a cat", account="user-1")))[0] == "FAILED_PRECONDITION"

    await house.client.appeal_decision(account="user-1", statement="It was my brother.")

    (item_id,) = await house.items("appeal")
    await house.decide(item_id, review_pb2.RESOLUTION_RELEASE)
    async with house.db.transaction() as conn:
        standing = await conn.execute("SELECT standing FROM accounts")
        assert await standing.fetchall() == [("good",)]


async def test_an_operator_withdraws_and_restores_and_both_are_recorded(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, image_id, _ = await house.release()
    monkeypatch.setenv("PORTCULLIS_HOME", str(house.settings.home))
    monkeypatch.setenv("PORTCULLIS_DSN", house.settings.database())
    monkeypatch.setenv("PORTCULLIS_PORT_BASE", str(house.settings.port_base))

    async def run(*arguments: str) -> Result:
        return await asyncio.to_thread(CliRunner().invoke, images_command.app, arguments)

    gone = await run("withdraw", str(image_id), "--reason", "order of the court")
    withdrawn = (await house.client.inspect_image(file)).withdrawn
    back = await run("restore", str(image_id), "--reason", "order lifted")
    unknown = await run("withdraw", str(uuid4()), "--reason", "order of the court")
    nameless = await run("withdraw", HTML, "--reason", "order of the court")

    async with house.db.transaction() as conn:
        recorded = {(event.action, event.subject) for event in await audit.latest(conn, 10)}
    assert (gone.exit_code, withdrawn, back.exit_code) == (0, True, 0)
    assert not (await house.client.inspect_image(file)).withdrawn
    assert {("image.withdraw", str(image_id)), ("image.restore", str(image_id))} <= recorded
    assert (unknown.exception.code, nameless.exception.code) == ("NOT_FOUND", "INVALID_ARGUMENT")
