"""What pages about accounts, complaints and banks have to show: put into a console's database."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

from services.core.signals import ModelVersion
from services.core.standing import conduct
from services.core.standing.ladder import Rung
from services.core.store import (
    accounts,
    anomalies,
    appeals,
    banks,
    decisions,
    evidence_rows,
    images,
    people,
    reports,
    review_items,
    routings,
    terms,
)
from services.core.store.anomalies import Anomaly
from services.core.store.appeals import Appeal
from services.core.store.banks import BankEntry, Hash
from services.core.store.database import Connection
from services.core.store.decisions import Decision
from services.core.store.images import RegisteredImage
from services.core.store.people import PersonRow
from services.core.store.reports import NewReport
from services.core.store.review_items import NewReviewItem
from services.core.store.strikes import NewStrike, Source
from services.core.store.terms import Term
from services.core.verdicts import Reason, Verdict
from services.review.routing import route
from tests.integration.console.conftest import Running, photograph

WEEK = timedelta(days=7)
SAID = "It shows my house, and I live there."


def weight_of(running: Running, step: Rung) -> float:
    """What strikes must weigh for a step, by the policy in force."""
    return float(getattr(running.console.policy.current.document.standing.ladder, step).weight)


async def strike(
    running: Running,
    weight: float | Rung = 1.0,
    category: str = "violence",
    *,
    account: str = "user-1",
    sealed: bool = False,
    decision: UUID | None = None,
    source: Source = "upheld",
) -> UUID:
    """Gives an account a strike, as heavy as a step of the ladder takes, and what it leads to; returns the decision."""
    if isinstance(weight, str):
        weight = weight_of(running, weight)
    new = NewStrike(decision or uuid4(), source, category, "prompt", weight, sealed=sealed)
    async with running.database.transaction() as conn:
        await accounts.get_or_create(conn, "acme", account)
        rules = running.console.policy.current.document.standing
        await conduct.strike(conn, "acme", account, new, rules, datetime.now(UTC))
    return new.decision_id


async def reported(
    running: Running,
    statement: str = SAID,
    *,
    account: str = "user-1",
    category: str = "violence",
    sealed: bool = False,
) -> UUID:
    """A released picture with one made from it, reported by somebody: the case, in its queue."""
    reason = Reason(category, "Somebody reported this picture.", 0.0, 0.0, Verdict.REVIEW, rule="report")
    decision = Decision(uuid4(), uuid4(), "acme", account, "create", Verdict.ALLOW, (), (), "ab" * 32, (), {})
    image = _image(decision.decision_id)
    shown = running.console.evidence.put(photograph(), sealed=sealed)
    said = running.console.evidence.put(statement.encode(), sealed=sealed)
    item = NewReviewItem(
        uuid4(),
        "output",
        Verdict.REVIEW,
        (reason,),
        held=False,
        sealed=sealed,
        kind="report",
        subject=image.image_id,
        image=shown.id,
    )
    async with running.database.transaction() as conn:
        await accounts.get_or_create(conn, "acme", account)
        await decisions.record(conn, decision, [])
        await images.insert(conn, image)
        await images.insert(conn, _image(uuid4(), image.image_id))
        await evidence_rows.record(conn, "acme", "image", shown, WEEK)
        await evidence_rows.record(conn, "acme", "statement", said, WEEK)
        report = NewReport(uuid4(), "acme", bytes(32), image.image_id, category, "altered")
        await reports.add(conn, report, said.id)
        await review_items.open_items(conn, decision.decision_id, "acme", account, [item])
        await reports.join(conn, item.item_id, report.report_id)
    return await _routed(running, item.item_id)


async def appealed(
    running: Running,
    of: UUID | None,
    statement: str = SAID,
    *,
    account: str = "user-1",
    suspension: bool = False,
) -> UUID:
    """An appeal against a decision, or against a suspension that the decision stands for: the case, in its queue."""
    said = running.console.evidence.put(statement.encode())
    asked = running.console.evidence.put(b"a quiet harbour at dawn")
    reasons = () if suspension else (Reason("violence", "This looks like it.", 0.92, 0.8, Verdict.BLOCK),)
    about = of or uuid4()
    item = NewReviewItem(
        uuid4(), "prompt", Verdict.BLOCK, reasons, held=False, sealed=False, kind="appeal", prompt=asked.id
    )
    due = datetime.now(UTC) + timedelta(days=3)
    appeal = Appeal(uuid4(), "acme", account, None if suspension else about, item.item_id, said.id, due)
    async with running.database.transaction() as conn:
        await accounts.get_or_create(conn, "acme", account)
        await evidence_rows.record(conn, "acme", "prompt", asked, WEEK)
        await evidence_rows.record(conn, "acme", "statement", said, WEEK)
        await review_items.open_items(conn, about, "acme", account, [item])
        await appeals.add(conn, appeal, about)
    return await _routed(running, item.item_id)


async def suspended(running: Running, account: str = "user-1") -> UUID:
    """An account that its strikes suspended: the case of it, in its queue."""
    for category in ("violence", "hate"):
        await strike(running, 0.51 * weight_of(running, "suspended"), category, account=account)
    async with running.database.transaction() as conn:
        cursor = await conn.execute(
            "SELECT item_id FROM review_items WHERE kind = 'suspension' AND account = %s", [account]
        )
        row = await cursor.fetchone()
    assert row is not None, "they weigh enough"
    return await _routed(running, row[0])


async def flagged(running: Running, explanation: str, *, account: str = "user-1", sealed: bool = False) -> UUID:
    """A firing about an account; nobody has seen it."""
    found = Anomaly(
        uuid4(), datetime.now(UTC), "acme", account, "velocity", "enforce", "flag", explanation, {"times": 9.0}, sealed
    )
    async with running.database.transaction() as conn:
        await accounts.get_or_create(conn, "acme", account)
        await anomalies.record(conn, [found])
    return found.anomaly_id


async def fill_banks(running: Running, text: str = "acme bomb", who: str = "carol") -> None:
    """A bank of each kind, with 60 entries in that of images; `text` (to 128 characters) is in all that a bank says."""
    async with running.database.transaction() as conn:
        await terms.replace(conn, "acme", "brand", [Term(text, category="violence", score=0.9, near=(text,))], who)
        await people.replace(conn, "politicians", [PersonRow("Q1", text, (text,), 1999, 0.95)], who)
        entries = [
            BankEntry("leaked", f"{text[:100]} {number:02}", (_hash(),), None, ("case-17",), source=who)
            for number in range(60)
        ]
        await banks.put(conn, None, "leaked", entries, who, "image_banks.import", "bank")
        await banks.describe(conn, None, "leaked", text, who)


async def _routed(running: Running, item_id: UUID) -> UUID:
    async with running.database.transaction() as conn:
        row = await review_items.get(conn, item_id)
        assert row is not None
        rules = running.console.policy.current.document.review
        await routings.route(conn, item_id, route(row, rules, row.created_at), "review")
    return item_id


async def audited(conn: Connection, action: str) -> list[dict[str, object]]:
    """The particulars of each audit event of this action."""
    cursor = await conn.execute("SELECT actor, detail FROM audit_events WHERE action = %s ORDER BY event_id", [action])
    return [{"who": actor, **detail} for actor, detail in await cursor.fetchall()]


def _hash() -> Hash:
    return Hash("pdq", secrets.token_bytes(32))


def _image(decision_id: UUID, *parents: UUID) -> RegisteredImage:
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
        width=512,
        height=512,
        format="PNG",
        operation="variation" if parents else "create",
        parents=parents,
        depth=len(parents) + 1,
        model=ModelVersion("scenes", "1"),
        policy="cd" * 32,
        request_digest="ef" * 32,
        manifest=b"",
    )
