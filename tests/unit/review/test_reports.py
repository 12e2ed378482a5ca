"""Reports in the books: who is admitted, who is believed, which case they join, and what deciding it does."""

from __future__ import annotations

import secrets
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from services.core.evidence import Blob
from services.core.policy.document import Policy
from services.core.signals import ModelVersion
from services.core.store import decisions, evidence_rows, images, outbox, policies, reports, review_items, routings
from services.core.store.database import Connection, Database
from services.core.store.decisions import Decision
from services.core.store.images import RegisteredImage
from services.core.store.reports import NewReport
from services.core.store.review_items import NewReviewItem, Resolution, ReviewItem
from services.core.store.routings import Routing
from services.core.verdicts import Reason, Verdict
from services.review.complaints import settle_report
from services.review.routing import route

ANN, BOB, CARL = (bytes([number]) * 32 for number in range(3))
SAID = Reason("violence", "Somebody reported this picture.", 0.0, 0.0, Verdict.REVIEW, rule="report")


def new_image(decision_id: UUID, *parents: UUID) -> RegisteredImage:
    return RegisteredImage(
        image_id=uuid4(),
        tenant="acme",
        decision_id=decision_id,
        payload_id=secrets.token_bytes(8),
        sha256=secrets.token_bytes(32),
        pdq=secrets.token_bytes(32),
        pdq_quality=90,
        phash=secrets.token_bytes(8),
        sketch=bytes(3072),
        width=64,
        height=64,
        format="PNG",
        operation="variation" if parents else "create",
        parents=parents,
        depth=len(parents) + 1,
        model=ModelVersion("scenes", "1"),
        policy="cd" * 32,
        request_digest="ef" * 32,
        manifest=b"",
    )


@pytest.fixture
async def picture(house: Database) -> RegisteredImage:
    """A released picture, with its decision."""
    decision = Decision(uuid4(), uuid4(), "acme", "user-1", "create", Verdict.ALLOW, (), (), "ab" * 32, (), {})
    image = new_image(decision.decision_id)
    async with house.transaction() as conn:
        await decisions.record(conn, decision, [])
        await images.insert(conn, image)
    return image


async def report(conn: Connection, image: RegisteredImage, reporter: bytes, statement: UUID | None = None) -> UUID:
    new = NewReport(uuid4(), "acme", reporter, image.image_id, "violence", "intact")
    await reports.add(conn, new, statement)
    return new.report_id


async def open_case(conn: Connection, image: RegisteredImage, *, sealed: bool = False, urgency: int = 0) -> UUID:
    item = NewReviewItem(
        uuid4(), "output", Verdict.REVIEW, (SAID,), held=False, sealed=sealed, kind="report", subject=image.image_id
    )
    await review_items.open_items(conn, image.decision_id, "acme", "user-1", [replace(item, urgency=urgency)])
    return item.item_id


async def decided(conn: Connection, item_id: UUID, resolution: Resolution) -> ReviewItem:
    item = await review_items.get(conn, item_id)
    assert item is not None
    return replace(item, state="decided", resolution=resolution, decided_by="analyst/alice")


async def policy_of(house: Database) -> Policy:
    async with house.transaction() as conn:
        return await policies.load_active(conn)


@pytest.mark.parametrize(("upheld", "dismissed", "weight"), [(0, 0, 0.5), (8, 0, 0.9), (0, 8, 0.1), (4, 4, 0.5)])
async def test_a_reporter_is_believed_as_their_reports_were(
    house: Database, picture: RegisteredImage, upheld: int, dismissed: int, weight: float
) -> None:
    async with house.transaction() as conn:
        await report(conn, picture, ANN)
        await conn.execute("UPDATE reporters SET upheld = %s, dismissed = %s", [upheld, dismissed])

        assert await reports.weight(conn, picture.image_id, None) == pytest.approx(weight)


@pytest.mark.parametrize(
    ("resolution", "upheld", "dismissed"), [("uphold", 1, 0), ("release", 0, 1)], ids=["upheld", "dismissed"]
)
async def test_deciding_a_case_moves_how_far_its_reporters_are_believed(
    house: Database, picture: RegisteredImage, resolution: Resolution, upheld: int, dismissed: int
) -> None:
    policy = await policy_of(house)
    async with house.transaction() as conn:
        ids = [await report(conn, picture, who) for who in (BOB, ANN)]
        item_id = await open_case(conn, picture)
        for report_id in ids:
            await reports.join(conn, item_id, report_id)
        await report(conn, picture, CARL)  # who joined no case

        await settle_report(conn, await decided(conn, item_id, resolution), policy)

        counts = await conn.execute("SELECT upheld, dismissed FROM reporters ORDER BY reporter")
        assert await counts.fetchall() == [(upheld, dismissed)] * 2 + [(0, 0)]


@pytest.mark.parametrize(("resolution", "told"), [("uphold", True), ("release", False)])
async def test_only_what_is_upheld_is_to_be_withdrawn(
    house: Database, picture: RegisteredImage, resolution: Resolution, told: bool
) -> None:
    policy = await policy_of(house)
    async with house.transaction() as conn:
        item_id = await open_case(conn, picture)

        await settle_report(conn, await decided(conn, item_id, resolution), policy)

        assert await outbox.waits(conn, outbox.WITHDRAW_IMAGE, picture.image_id) == told


async def test_a_golden_case_withdraws_nothing(house: Database, picture: RegisteredImage) -> None:
    policy = await policy_of(house)
    async with house.transaction() as conn:
        golden = replace(await decided(conn, await open_case(conn, picture), "uphold"), golden=uuid4())

        await settle_report(conn, golden, policy)

        assert not await outbox.waits(conn, outbox.WITHDRAW_IMAGE, picture.image_id)


async def test_a_withdrawal_that_the_broker_lost_is_told_until_it_is_done(
    house: Database, picture: RegisteredImage
) -> None:
    async with house.transaction() as conn:
        await outbox.add(conn, outbox.WITHDRAW_IMAGE, [picture.image_id])
        await outbox.mark_published(conn, await outbox.claim(conn, 10))
        await conn.execute("UPDATE outbox SET published_at = published_at - interval '1 minute'")
        revived = await outbox.revive_stalled(conn, 30)
        await outbox.done(conn, outbox.WITHDRAW_IMAGE, picture.image_id)

        assert revived == 1
        assert await outbox.claim(conn, 10) == []


async def test_further_reports_find_the_open_case_until_it_is_settled(
    house: Database, picture: RegisteredImage
) -> None:
    async with house.transaction() as conn:
        item_id = await open_case(conn, picture)
        before = await reports.open_case(conn, picture.image_id, sealed=False)
        await conn.execute("UPDATE review_items SET settled_at = now()")
        after = await reports.open_case(conn, picture.image_id, sealed=False)

    assert (before, after) == (item_id, None)


async def test_a_sealed_case_and_an_open_one_do_not_meet(house: Database, picture: RegisteredImage) -> None:
    async with house.transaction() as conn:
        sealed = await open_case(conn, picture, sealed=True)

        assert await reports.open_case(conn, picture.image_id, sealed=False) is None
        assert await reports.open_case(conn, picture.image_id, sealed=True) == sealed


async def test_a_case_goes_ahead_with_each_reporter_who_is_believed(house: Database, picture: RegisteredImage) -> None:
    now = datetime.now(UTC)
    async with house.transaction() as conn:
        item_id = await open_case(conn, picture)
        await routings.route(conn, item_id, Routing("reports", 5, now, now), "review")
        plain = await review_items.get(conn, item_id)

        for urgency in (2, 1):  # the second comes late and takes nothing back
            await reports.hasten(conn, item_id, urgency, 4.0)
        hastened = await review_items.get(conn, item_id)

    assert plain is not None
    assert hastened is not None
    assert plain.priority - hastened.priority == 2
    assert plain.turn_at - hastened.turn_at == timedelta(hours=8)


async def test_pages_of_open_cases_join_by_when_they_are_due(house: Database, picture: RegisteredImage) -> None:
    now = datetime.now(UTC)
    async with house.transaction() as conn:
        opened = [await open_case(conn, picture) for _ in range(5)]
        for hours, item_id in enumerate(opened[1:]):  # the first is pending
            await routings.route(conn, item_id, Routing("reports", 5, now + timedelta(hours=hours + 1), now), "review")
        seen: list[UUID] = []
        after = None
        while page := await review_items.open_by_due(conn, "report", [False], after, 2):
            seen += [item.item_id for item in page]
            after = review_items.due_place_of(page[-1])

    assert seen == opened


async def test_a_case_that_was_urgent_from_the_first_is_routed_ahead(house: Database, picture: RegisteredImage) -> None:
    rules = (await policy_of(house)).document.review
    async with house.transaction() as conn:
        items = [await review_items.get(conn, await open_case(conn, picture, urgency=urgency)) for urgency in (0, 3)]

    plain, urgent = (route(item, rules, datetime.now(UTC)).priority for item in items if item)
    assert plain - urgent == 3


async def test_a_case_knows_the_picture_its_reports_and_all_that_hangs_together(
    house: Database, picture: RegisteredImage
) -> None:
    sibling = new_image(picture.decision_id)
    child, grandchild = new_image(uuid4(), picture.image_id), new_image(uuid4(), uuid4(), picture.image_id)
    async with house.transaction() as conn:
        for image in (sibling, child, grandchild, new_image(uuid4())):
            await images.insert(conn, image)
        report_id = await report(conn, picture, ANN)
        item_id = await open_case(conn, picture)
        await reports.join(conn, item_id, report_id)
        item = await review_items.get(conn, item_id)
        assert item is not None

        case = await reports.case(conn, item)

    assert case is not None
    assert case.image.image_id == picture.image_id
    assert [(one.report_id, one.origin, one.weight) for one in case.reports] == [(report_id, "intact", 0.5)]
    assert [image.image_id for image in case.together] == [sibling.image_id]
    assert {image.image_id for image in case.children} == {child.image_id, grandchild.image_id}


async def test_a_statement_is_kept_until_its_case_is_decided(house: Database, picture: RegisteredImage) -> None:
    blob = Blob(uuid4(), bytes(32))
    async with house.transaction() as conn:
        await evidence_rows.record(conn, "acme", "statement", blob, timedelta(seconds=-1))
        report_id = await report(conn, picture, ANN, blob.id)
        item_id = await open_case(conn, picture)
        await reports.join(conn, item_id, report_id)
        waiting = await evidence_rows.forget_expired(conn, 10)
        said = await reports.statements(conn, item_id)
        await reports.settle(conn, item_id, "dismissed")

        assert (waiting, said) == ([], [blob.id])
        assert await evidence_rows.forget_expired(conn, 10) == [blob.id]
