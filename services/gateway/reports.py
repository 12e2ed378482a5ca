"""Third parties' reports: is the picture ours, has it been withdrawn, and if it stands, a case for a person.

A report reaches the house's desk whichever platform relays it; of another platform's picture the reporter learns no
more than of their own: that it was made here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID, uuid4

from google.protobuf.message import Message

from portcullis.v1 import checks_pb2 as pb
from portcullis.v1 import gateway_pb2 as api
from portcullis.v1 import provenance_pb2
from services.core.errors import Unavailable
from services.core.evidence import Blob, EvidenceStore
from services.core.policy.notice_rules import fill
from services.core.policy.schema import PolicyDocument
from services.core.policy.source import ActivePolicy
from services.core.pseudonyms import Pseudonyms
from services.core.rpc import convert
from services.core.store import accounts, decisions, evidence_rows, images, reports, review_items
from services.core.store.database import Connection, Database
from services.core.store.images import RegisteredImage
from services.core.store.reports import NewReport, Origin
from services.core.store.review_items import NewReviewItem
from services.core.verdicts import Reason, Tier, Verdict
from services.gateway.allowance import Allowance
from services.gateway.checks import check_upload
from services.gateway.complaint import Complaint
from services.gateway.once import Once
from services.gateway.rooms import Rooms
from services.gateway.stop import Stop

REPORTED = "Somebody reported this picture."
ORIGINS: Mapping[provenance_pb2.Origin.ValueType, Origin] = {
    provenance_pb2.ORIGIN_OURS_INTACT: "intact",
    provenance_pb2.ORIGIN_OURS_ALTERED: "altered",
    provenance_pb2.ORIGIN_OURS_DERIVED: "derived",
}


@dataclass(frozen=True, slots=True)
class _Accused:
    """A picture of ours with the account that it was made for."""

    image: RegisteredImage
    account: str
    tier: Tier


@dataclass(frozen=True, slots=True)
class _Find:
    """What is in a reported picture and what is said of it; both lie encrypted on the disk before a row names them."""

    accused: _Accused
    reasons: tuple[Reason, ...]
    sealed: bool
    picture: Blob
    statement: Blob | None


class ReportDesk:
    """Takes reports."""

    def __init__(
        self,
        database: Database,
        evidence: EvidenceStore,
        policy: ActivePolicy,
        rooms: Rooms,
        pseudonyms: Pseudonyms,
        allowance: Allowance,
        evidence_life: timedelta,
    ) -> None:
        self._database = database
        self._evidence = evidence
        self._policy = policy
        self._rooms = rooms
        self._pseudonyms = pseudonyms
        self._allowance = allowance
        self._evidence_life = evidence_life
        self._once = Once(database, evidence)

    async def report(
        self, tenant: str, request_id: UUID, request: api.ReportImageRequest, complaint: Complaint
    ) -> api.ReportImageResponse:
        """Answers a report once; raises Exhausted where a limit on reports is passed."""

        async def work(report_id: UUID) -> Callable[[Connection], Awaitable[Message]]:
            reporter = self._pseudonyms.of(tenant, complaint.reporter)
            await self._allowance.take_report(tenant, reporter.hex())
            found = await self._rooms.find(pb.Subject(tenant=tenant, request_id=str(request_id)), complaint.image)
            notices = self._document.notices
            if found.inspection.withdrawn:
                return _told(found.inspection, notices.report_withdrawn)
            if not found.image_id:
                return _told(found.inspection, notices.report_not_ours)
            origin = ORIGINS[found.inspection.origin]
            report = NewReport(report_id, tenant, reporter, UUID(found.image_id), complaint.category, origin)
            return await self._take(report, complaint, found.inspection)

        return await self._once.answer(tenant, request_id, request, api.ReportImageResponse, work)

    @property
    def _document(self) -> PolicyDocument:
        return self._policy.current.document

    async def _take(
        self, report: NewReport, complaint: Complaint, inspection: provenance_pb2.Inspection
    ) -> Callable[[Connection], Awaitable[Message]]:
        """Has the picture judged as an upload would be, and keeps it for the desk."""
        accused = await self._accused(report.image_id)
        subject = pb.Subject(
            tenant=accused.image.tenant,
            account=accused.account,
            tier=convert.TIERS[accused.tier],
            request_id=str(report.report_id),
        )
        stop = await check_upload(self._rooms, subject, complaint.image, b"", pb.Lineage())
        reasons = _reasons(stop, complaint.category)
        sealed = any(reason.category in self._document.review.seals for reason in reasons)
        picture, said = await asyncio.to_thread(self._keep, stop.image, complaint.statement, sealed=sealed)
        find = _Find(accused, reasons, sealed, picture, said)

        async def write(conn: Connection) -> Message:
            return await self._write(conn, report, find, inspection)

        return write

    async def _accused(self, image_id: UUID) -> _Accused:
        async with self._database.transaction() as conn:
            image = await images.registered(conn, image_id)
            assert image is not None, "the registry forgets nothing"
            decision = await decisions.get(conn, image.tenant, image.decision_id)
            if decision is None:  # its gateway died between marking and recording, or is about to record
                raise Unavailable("the picture's decision is not recorded (yet)", reason="DECISION_NOT_RECORDED")
            known = await accounts.get(conn, image.tenant, decision.account)
        return _Accused(image, decision.account, known.tier if known else "new")

    def _keep(self, image: bytes, statement: str, *, sealed: bool) -> tuple[Blob, Blob | None]:
        said = self._evidence.put(statement.encode(), sealed=sealed) if statement else None
        return self._evidence.put(image, sealed=sealed), said

    async def _write(
        self, conn: Connection, report: NewReport, find: _Find, inspection: provenance_pb2.Inspection
    ) -> api.ReportImageResponse:
        """Writes the report, and the case unless one is open; the picture's row keeps others waiting meanwhile."""
        image = await images.registered(conn, report.image_id)
        notices = self._document.notices
        if image is not None and image.withdrawn_at is not None:
            return _answer(inspection, notices.report_withdrawn, withdrawn=True)
        if before := await reports.made_before(conn, report):
            notice = notices.report_kept if before.outcome == "dismissed" else notices.report_received
            return _answer(inspection, notice, before.report_id)
        if find.statement:
            tenant = find.accused.image.tenant
            await evidence_rows.record(conn, tenant, "statement", find.statement, self._evidence_life)
        await reports.add(conn, report, find.statement.id if find.statement else None)
        if item_id := await reports.open_case(conn, report.image_id, sealed=find.sealed):
            await self._join(conn, report, item_id)
        elif find.sealed or await reports.weight(conn, report.image_id, None) >= self._document.complaints.case_weight:
            await self._open(conn, report, find)
        return _answer(inspection, notices.report_received, report.report_id)

    async def _join(self, conn: Connection, report: NewReport, item_id: UUID) -> None:
        await reports.join(conn, item_id, report.report_id)
        item = await review_items.get(conn, item_id)
        assert item is not None, "its row is locked by us"
        queue = self._document.review.queues.get(item.queue)
        weight = await reports.weight(conn, report.image_id, item_id)
        await reports.hasten(conn, item_id, reports.urgency(weight), queue.ageing_hours if queue else 0.0)

    async def _open(self, conn: Connection, report: NewReport, find: _Find) -> None:
        weight = await reports.weight(conn, report.image_id, None)
        item = NewReviewItem(
            item_id=uuid4(),
            stage="output",
            verdict=max((reason.verdict for reason in find.reasons), default=Verdict.REVIEW),
            reasons=find.reasons,
            held=False,
            sealed=find.sealed,
            kind="report",
            subject=report.image_id,
            tier=find.accused.tier,
            image=find.picture.id,
            urgency=reports.urgency(weight),
        )
        image = find.accused.image
        await evidence_rows.record(conn, image.tenant, "image", find.picture, self._evidence_life)
        await review_items.open_items(conn, image.decision_id, image.tenant, find.accused.account, [item])
        await reports.join(conn, item.item_id, report.report_id)
        if not find.sealed:
            await reports.join_waiting(conn, report.image_id, item.item_id)


def _reasons(stop: Stop, category: str) -> tuple[Reason, ...]:
    """What the image filter finds in the picture now, and what its reporter says of it."""
    found = tuple(convert.reason_from_proto(reason) for reason in stop.check.reasons)
    said = Reason(category, REPORTED, score=0.0, threshold=0.0, verdict=Verdict.REVIEW, rule="report")
    return (*found, said) if category else found


def _told(inspection: provenance_pb2.Inspection, notice: str) -> Callable[[Connection], Awaitable[Message]]:
    async def write(_conn: Connection) -> Message:
        return _answer(inspection, notice)

    return write


def _answer(
    inspection: provenance_pb2.Inspection, notice: str, report_id: UUID | None = None, *, withdrawn: bool = False
) -> api.ReportImageResponse:
    return api.ReportImageResponse(
        report_id=str(report_id or ""),
        origin=inspection.origin,
        withdrawn=withdrawn or inspection.withdrawn,
        notice=fill(notice),
    )
