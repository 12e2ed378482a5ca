"""Golden cases and the desk's figures on a real Postgres."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from services.commands.default_policy import DEFAULT_POLICY
from services.core.errors import FailedPrecondition, NotFound
from services.core.evidence import EvidenceStore, create_evidence_key
from services.core.policy.document import load_policy
from services.core.policy.source import ActivePolicy
from services.core.staff import Analyst, Role
from services.core.store import decisions, evidence_rows, golden, policies, review_items
from services.core.store.database import Database
from services.core.store.decisions import Decision
from services.core.store.review_items import NewReviewItem, Resolution, ReviewItem
from services.core.verdicts import Reason, Verdict
from services.review.desk import ReviewDesk
from services.review.tasks import route_pending, settle_decided

REASON = Reason("violence", "says why", 0.8, 0.7, Verdict.REVIEW)
ALWAYS_KNOWN = "\nreview: {queues: {default: {golden: 1.0, second_review: 0.0}}}\n"
ADA, BEN, LEA = (
    Analyst(name, frozenset[Role]({role})) for name, role in (("ada", "analyst"), ("ben", "analyst"), ("lea", "lead"))
)
Open = Callable[[], Awaitable[UUID]]


@pytest.fixture
async def house(governed: Database) -> Database:
    policy = load_policy(DEFAULT_POLICY.read_text(encoding="utf-8") + ALWAYS_KNOWN, "test")
    async with governed.transaction() as conn:
        await policies.put(conn, policy, "test")
        await policies.activate(conn, policy.id, "test", datetime.now(UTC))
    return governed


@pytest.fixture
async def desk(house: Database, tmp_path: Path) -> ReviewDesk:
    create_evidence_key(tmp_path / "evidence.key")
    evidence = EvidenceStore(tmp_path / "evidence", tmp_path / "evidence.key")
    return ReviewDesk(house, evidence, await ActivePolicy.load(house, 60), 60, 0, chance=lambda: 0.5)


@pytest.fixture
def open_case(house: Database) -> Open:
    async def opened() -> UUID:
        item = NewReviewItem(uuid4(), "prompt", Verdict.REVIEW, (REASON,), held=True, sealed=False)
        decision = Decision(
            uuid4(), uuid4(), "acme", "user-1", "create", Verdict.REVIEW, (REASON,), (), "ab" * 32, (), {}
        )
        async with house.transaction() as conn:
            await decisions.record(conn, decision, [item])
        await route_pending(house, item.item_id)
        return item.item_id

    return opened


async def decide(desk: ReviewDesk, house: Database, analyst: Analyst, resolution: Resolution) -> ReviewItem:
    """Takes what comes next, judges and settles it."""
    claim, _ = await desk.claim_next(analyst, None)
    decided = await desk.decide(analyst, claim.item.item_id, claim.token, resolution, "", [])
    await settle_decided(house, decided.item_id)
    return decided


@pytest.fixture
async def known(desk: ReviewDesk, house: Database, open_case: Open) -> UUID:
    """A golden case that Lea judged "uphold"."""
    await open_case()
    decided = await decide(desk, house, LEA, "uphold")
    async with house.transaction() as conn:
        return await golden.add(conn, decided.item_id, "clear", "lea")


async def test_a_known_case_comes_among_the_others(desk: ReviewDesk, known: UUID, open_case: Open) -> None:
    real = await open_case()

    claim, _ = await desk.claim_next(ADA, None)

    assert (claim.item.golden, claim.item.item_id != real) == (known, True)


async def test_each_person_gets_it_once(desk: ReviewDesk, house: Database, known: UUID, open_case: Open) -> None:
    await open_case()
    first = await decide(desk, house, ADA, "uphold")

    second, _ = await desk.claim_next(ADA, None)

    assert (first.golden, second.item.golden) == (known, None)


async def test_whoever_judged_it_first_never_gets_it(desk: ReviewDesk, known: UUID, open_case: Open) -> None:
    real = await open_case()

    claim, _ = await desk.claim_next(LEA, None)

    assert claim.item.item_id == real


async def test_where_nothing_waits_there_is_no_known_case_either(desk: ReviewDesk, known: UUID) -> None:
    with pytest.raises(NotFound):
        await desk.claim_next(ADA, None)


async def test_no_platform_hears_of_it(desk: ReviewDesk, house: Database, known: UUID, open_case: Open) -> None:
    await open_case()

    decided = await decide(desk, house, ADA, "release")

    async with house.transaction() as conn:
        rows = await conn.execute("SELECT tenant FROM events WHERE subject = %s", [str(decided.item_id)])
        assert {row[0] for row in await rows.fetchall()} == {None}


async def test_the_answers_are_counted(desk: ReviewDesk, house: Database, known: UUID, open_case: Open) -> None:
    await open_case()
    await decide(desk, house, ADA, "uphold")
    await decide(desk, house, BEN, "release")

    async with house.transaction() as conn:
        (row,) = await golden.listed(conn)

    assert (row.golden, row.judged, row.right) == (known, 2, 1)


async def test_the_teams_figures_hold_each_persons_own(
    desk: ReviewDesk, house: Database, known: UUID, open_case: Open
) -> None:
    await open_case()
    await decide(desk, house, ADA, "uphold")

    figures = await desk.figures([False], timedelta(days=1))

    assert [[row.work.analyst for row in figures.of(who)] for who in (ADA, BEN)] == [["analyst/ada"], []]
    assert {row.work.analyst for row in figures.people} == {"analyst/ada", "analyst/lea"}
    assert [(row.queue, row.judged) for row in figures.queues] == [("default", 2)]


async def test_a_known_case_keeps_its_evidence_while_in_use(
    desk: ReviewDesk, house: Database, known: UUID, tmp_path: Path
) -> None:
    blob = EvidenceStore(tmp_path / "evidence", tmp_path / "evidence.key").put(b"words")
    async with house.transaction() as conn:
        await evidence_rows.record(conn, "acme", "prompt", blob, timedelta(seconds=-1))
        await conn.execute("UPDATE review_items SET prompt = %s WHERE golden IS NULL", [blob.id])
        while_in_use = await evidence_rows.forget_expired(conn, 10)
        await golden.retire(conn, known, "lea")
        afterwards = await evidence_rows.forget_expired(conn, 10)

    assert (while_in_use, afterwards) == ([], [blob.id])


async def test_an_undecided_case_cannot_become_golden(house: Database, open_case: Open) -> None:
    item_id = await open_case()

    with pytest.raises(FailedPrecondition):
        async with house.transaction() as conn:
            await golden.add(conn, item_id, "", "lea")


async def test_a_sealed_case_cannot_become_golden(house: Database, open_case: Open) -> None:
    item_id = await open_case()
    async with house.transaction() as conn:
        await conn.execute("UPDATE review_items SET sealed = true")

    with pytest.raises(NotFound):
        async with house.transaction() as conn:
            await golden.add(conn, item_id, "", "lea")


async def test_a_case_is_golden_once(house: Database, known: UUID) -> None:
    async with house.transaction() as conn:
        (row,) = await golden.listed(conn)
        item = await review_items.get(conn, row.item_id)
    assert item is not None

    with pytest.raises(FailedPrecondition):
        async with house.transaction() as conn:
            await golden.add(conn, item.item_id, "", "lea")
