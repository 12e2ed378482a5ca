"""Users' appeals: of a refusal, or of the suspension of their account. Another person than the first looks again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import chain
from uuid import UUID, uuid4

from google.protobuf.message import Message

from portcullis.v1 import gateway_pb2 as api
from services.core.errors import FailedPrecondition, NotFound
from services.core.evidence import Blob, EvidenceStore
from services.core.policy.categories import Stage
from services.core.policy.notice_rules import NoticeRules, fill
from services.core.policy.review_rules import Queue, ReviewRules
from services.core.policy.schema import PolicyDocument
from services.core.policy.source import ActivePolicy
from services.core.store import accounts, appeals, decisions, evidence_rows, review_items
from services.core.store.appeals import Appeal
from services.core.store.database import Connection, Database
from services.core.store.review_items import NewReviewItem
from services.core.store.stops import Stop
from services.core.verdicts import Tier, Verdict
from services.gateway.complaint import Plea
from services.gateway.once import Once

STATES: dict[appeals.State, api.AppealState.ValueType] = {
    "open": api.APPEAL_STATE_OPEN,
    "granted": api.APPEAL_STATE_GRANTED,
    "denied": api.APPEAL_STATE_DENIED,
}


@dataclass(frozen=True, slots=True)
class _Subject:
    """What is looked at again: the decision that the case names, and the case."""

    decision_id: UUID
    item: NewReviewItem


class AppealDesk:
    """Takes appeals."""

    def __init__(
        self, database: Database, evidence: EvidenceStore, policy: ActivePolicy, evidence_life: timedelta
    ) -> None:
        self._evidence = evidence
        self._policy = policy
        self._evidence_life = evidence_life
        self._once = Once(database, evidence)

    async def appeal(
        self, tenant: str, request_id: UUID, request: api.AppealDecisionRequest, plea: Plea
    ) -> api.AppealDecisionResponse:
        """Opens an appeal once.

        Raises NotFound for what is not this account's; FailedPrecondition where there is nothing to appeal, where it
        was appealed before, where the time for it is over, and where what was refused is no longer kept.
        """

        async def work(appeal_id: UUID) -> Callable[[Connection], Awaitable[Message]]:
            async def write(conn: Connection) -> Message:
                return await self._open(conn, tenant, appeal_id, plea)

            return write

        return await self._once.answer(tenant, request_id, request, api.AppealDecisionResponse, work)

    def told(self, appeal: Appeal) -> api.Appeal:
        """An appeal as its user may see it."""
        return _told(appeal, self._document.notices)

    @property
    def _document(self) -> PolicyDocument:
        return self._policy.current.document

    async def _open(self, conn: Connection, tenant: str, appeal_id: UUID, plea: Plea) -> api.AppealDecisionResponse:
        if plea.decision_id:
            subject = await self._refusal(conn, tenant, plea.account, plea.decision_id, appeal_id)
        else:
            subject = await _suspension(conn, tenant, plea.account, appeal_id)
        statement = await asyncio.to_thread(self._keep, plea.statement, sealed=subject.item.sealed)
        if statement:
            await evidence_rows.record(conn, tenant, "statement", statement, self._evidence_life)
        await review_items.open_items(conn, subject.decision_id, tenant, plea.account, [subject.item])
        appeal = Appeal(
            appeal_id=appeal_id,
            tenant=tenant,
            account=plea.account,
            decision_id=plea.decision_id,
            item_id=subject.item.item_id,
            statement=statement.id if statement else None,
            due_at=datetime.now(UTC) + timedelta(hours=_due_hours(self._document.review)),
        )
        await appeals.add(conn, appeal, subject.decision_id)
        return api.AppealDecisionResponse(appeal=self.told(appeal))

    def _keep(self, statement: str, *, sealed: bool) -> Blob | None:
        return self._evidence.put(statement.encode(), sealed=sealed) if statement else None

    async def _refusal(
        self, conn: Connection, tenant: str, account: str, decision_id: UUID, appeal_id: UUID
    ) -> _Subject:
        """The case for a refused decision, with the evidence that was kept of it."""
        decision = await decisions.get(conn, tenant, decision_id)
        if decision is None or decision.account != account:
            raise NotFound("this account has no such decision", reason="DECISION_UNKNOWN")
        if await appeals.of_decision(conn, tenant, decision_id):
            raise appeals.appealed_before()
        days = self._document.complaints.appeal_days
        if decision.created_at is None or decision.created_at + timedelta(days=days) < datetime.now(UTC):
            raise FailedPrecondition(f"one may appeal for {days:g} days", reason="APPEAL_TOO_LATE")
        refused = [
            stop
            for stop in await appeals.refused(conn, tenant, decision_id)
            if not any(reason.category in self._document.review.seals for reason in stop.reasons)
        ]
        if not refused:
            raise FailedPrecondition("nothing was refused here that can be appealed", reason="NOTHING_TO_APPEAL")
        known = await accounts.get(conn, tenant, account)
        item = _item(appeal_id, refused, known.tier if known else "new")
        parts = (item.prompt, item.negative_prompt, item.image, item.mask)
        if not await evidence_rows.keep(conn, [part for part in parts if part]):
            raise FailedPrecondition("what was refused is no longer kept", reason="EVIDENCE_EXPIRED")
        return _Subject(decision_id, item)


async def _suspension(conn: Connection, tenant: str, account: str, appeal_id: UUID) -> _Subject:
    """The case for a suspended account; it names the decision of the case in which a person confirmed that, if any."""
    known = await accounts.get(conn, tenant, account)
    if known is None:
        raise NotFound("there is no such account", reason="ACCOUNT_UNKNOWN")
    suspension = await appeals.suspension(conn, tenant, account)
    if suspension is None:
        raise FailedPrecondition("this account is not suspended", reason="NOTHING_TO_APPEAL")
    if suspension.appealed:
        raise appeals.appealed_before()
    if suspension.pending:
        message = "a person has not looked at this suspension yet; appeal once they have"
        raise FailedPrecondition(message, reason="REVIEW_PENDING")
    item = NewReviewItem(
        item_id=uuid4(),
        stage="prompt",
        verdict=Verdict.BLOCK,
        reasons=(),
        held=False,
        sealed=suspension.sealed,
        kind="appeal",
        subject=appeal_id,
        tier=known.tier,
    )
    return _Subject(suspension.decision_id or appeal_id, item)


def _item(appeal_id: UUID, refused: Sequence[Stop], tier: Tier) -> NewReviewItem:
    """One case for all that a decision refused; of several outputs, it shows the first."""
    shown = refused[:1] if refused[0].stage == "output" else refused
    stages: set[Stage] = {stop.stage for stop in shown}
    return NewReviewItem(
        item_id=uuid4(),
        stage=shown[0].stage if len(stages) == 1 else "pair",
        verdict=max(stop.verdict for stop in shown),
        reasons=tuple(dict.fromkeys(chain.from_iterable(stop.reasons for stop in shown))),
        held=False,
        sealed=False,
        kind="appeal",
        subject=appeal_id,
        tier=tier,
        prompt=next((stop.prompt for stop in shown if stop.prompt), None),
        negative_prompt=next((stop.negative_prompt for stop in shown if stop.negative_prompt), None),
        image=next((stop.image for stop in shown if stop.image), None),
        mask=next((stop.mask for stop in shown if stop.mask), None),
    )


def _due_hours(rules: ReviewRules) -> float:
    """How soon the first queue that takes appeals wants them decided."""
    names = (route.queue for route in rules.routes if route.kinds is None or "appeal" in route.kinds)
    return next((rules.queues[name] for name in names if name in rules.queues), Queue()).due_hours


def _told(appeal: Appeal, notices: NoticeRules) -> api.Appeal:
    texts: dict[appeals.State, str] = {
        "open": notices.appeal_received,
        "granted": notices.appeal_granted,
        "denied": notices.appeal_denied,
    }
    told = api.Appeal(
        appeal_id=str(appeal.appeal_id),
        state=STATES[appeal.state],
        notice=fill(texts[appeal.state], due=appeal.due_at),
    )
    told.due_at.FromDatetime(appeal.due_at)
    return told
