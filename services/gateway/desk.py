"""The gateway's books: who asks, whether it was asked before, and the one transaction that records an answer."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from uuid import UUID, uuid4

from google.protobuf.message import Message

from portcullis.v1 import checks_pb2 as pb
from services.core import telemetry
from services.core.errors import Aborted, FailedPrecondition, NotFound, Unauthenticated
from services.core.evidence import EvidenceStore
from services.core.limits.charges import Use
from services.core.policy.document import Policy
from services.core.policy.source import ActivePolicy
from services.core.rpc import convert
from services.core.standing import conduct
from services.core.standing.entry import enter, refuse
from services.core.standing.violations import of_stops
from services.core.store import (
    accounts,
    appeals,
    decisions,
    evidence_rows,
    held_requests,
    images,
    requests,
    review_items,
    stops,
    tenants,
)
from services.core.store.appeals import Appeal
from services.core.store.database import Database
from services.core.store.decisions import Decision
from services.core.store.images import RegisteredImage
from services.gateway.allowance import NOTHING_SPENT, Allowance, Spent, ours
from services.gateway.case import Case, Outcome
from services.gateway.held import HeldRequests
from services.gateway.records import Records
from services.gateway.sight import sight
from services.gateway.watch import Observer


@dataclass(frozen=True, slots=True)
class Recorded:
    """A decision as it stands in the books, with its appeal, if there is one."""

    decision: Decision
    items: Sequence[UUID]
    images: Sequence[RegisteredImage]
    appeal: Appeal | None


@dataclass(frozen=True, slots=True)
class Replay:
    """A request that was answered before, and the answer's messages as they were sent."""

    messages: tuple[bytes, ...]


class Desk:
    """Admits requests and records their answers."""

    def __init__(
        self, database: Database, evidence: EvidenceStore, policy: ActivePolicy, evidence_life: timedelta
    ) -> None:
        self._database = database
        self._policy = policy
        self._records = Records(evidence, evidence_life)
        self.observer = Observer(database, policy)
        self.held = HeldRequests(database, evidence)
        self.allowance = Allowance(database, policy)

    @property
    def policy(self) -> Policy:
        """The policy in force."""
        return self._policy.current

    @property
    def seals(self) -> frozenset[str]:
        """The categories whose cases exist for the sealed role alone, by the policy in force."""
        return self.policy.document.review.seals

    async def check_key(self, key: str) -> str:
        """The identity behind an API key ("tenant/acme"); raises Unauthenticated."""
        async with self._database.transaction() as conn:
            tenant = await tenants.authenticate(conn, key)
        if tenant is None:
            raise Unauthenticated("this API key is not known, or was revoked", reason="API_KEY_INVALID")
        return f"tenant/{tenant.tenant}"

    async def admit(self, tenant: str, account: str, request_id: UUID, content: bytes, use: Use) -> Case | Replay:
        """Opens a case for this request, or returns what it was answered before.

        `content` is everything that decides the answer; `use` is charged to the limits and the credits, once. Raises
        FailedPrecondition for an account that its standing keeps out and where a picture of the answer was withdrawn
        since, Aborted while the same request runs, AlreadyExists where the id was used for other content, Exhausted
        where a limit is passed.
        """
        content_digest = sha256(content).digest()
        rules = self._policy.current.document.standing
        spent = NOTHING_SPENT
        try:
            async with self._database.transaction() as conn:
                known = await enter(conn, tenant, account, rules, datetime.now(UTC))
                begun: requests.Begun | requests.Running | requests.Answered
                if self.allowance.over(known, use):
                    before = await requests.look(conn, tenant, request_id, content_digest)
                    if before is None:  # a flood leaves nothing in the books
                        raise self.allowance.refusal(known, use)
                    begun = before
                else:
                    decision_id = uuid4()
                    begun = await requests.begin(conn, tenant, request_id, content_digest, decision_id)
                    if isinstance(begun, requests.Begun):
                        spent = Spent(await self.allowance.take(known, use))
                        # What a gateway began and died of has paid its credits already.
                        if begun.decision_id == decision_id:
                            spent = await self.allowance.take_credits(conn, known, use, spent.grant)
                if isinstance(begun, requests.Answered) and await images.any_withdrawn(conn, tenant, begun.decision_id):
                    raise FailedPrecondition("a picture of this answer was withdrawn", reason="IMAGE_WITHDRAWN")
        except BaseException:
            self.allowance.undo(spent.grant)
            raise
        if known.fresh:
            telemetry.NEW_ACCOUNTS.inc()
        match begun:
            case requests.Running():
                raise Aborted(
                    "the same request is being worked on", reason="REQUEST_RUNNING", retry_after=min(begun.seconds, 5)
                )
            case requests.Answered():
                return Replay(await asyncio.to_thread(self._records.answer, begun.answer))
            case requests.Begun():
                subject = pb.Subject(
                    tenant=tenant, account=account, tier=convert.TIERS[known.tier], request_id=str(request_id)
                )
                hold_for = known.standing_reason or "conduct" if known.standing == "held" else ""
                return Case(subject, request_id, begun.decision_id, begun.attempt, hold_for, spent)

    async def check_standing(self, case: Case) -> None:
        """Raises FailedPrecondition where the account was suspended or banned since it was let in."""
        async with self._database.transaction() as conn:
            known = await accounts.get(conn, case.subject.tenant, case.subject.account)
        now = datetime.now(UTC)
        if known is not None and known.standing_at(now) in ("suspended", "banned"):
            refuse(known, now)

    async def record(self, case: Case, outcome: Outcome) -> Sequence[Message]:
        """Writes decision, items, outbox rows and the answer in one transaction; returns the answer's messages."""
        policy = self._policy.current.document
        seals = policy.review.seals
        items = {place: uuid4() for place, stop in enumerate(outcome.stops) if outcome.needs_person(stop, seals)}
        messages = outcome.answer(items)
        written = await asyncio.to_thread(self._records.write, case, outcome, items, seals, messages)
        async with self._database.transaction() as conn:
            for kind, blob, life in written.blobs:
                await evidence_rows.record(conn, case.subject.tenant, kind, blob, life)
            await decisions.record(conn, written.decision, written.items)
            await stops.record(conn, written.stops)
            if written.held:
                await held_requests.record(conn, written.held)
            if outcome.resumes:
                resumed = outcome.resumes.held.decision_id
                await held_requests.finish(conn, resumed, case.request_id, case.decision_id)
            if strike := of_stops(written.stops, policy.standing, seals):
                await conduct.strike(
                    conn, case.subject.tenant, case.subject.account, strike, policy.standing, datetime.now(UTC)
                )
            await requests.answer(conn, case.subject.tenant, case.request_id, case.attempt, written.answer)
            if not outcome.rendered:
                await self.allowance.return_credits(conn, case.subject, case.spent)
        self.allowance.give_back(case.spent.grant, None, rendered=outcome.rendered)
        if case.subject.tier != pb.TIER_RED_TEAM:  # testers try what is refused: it says nothing of anybody
            self.observer.see(sight(case.subject, outcome.stops, seals, datetime.now(UTC)))
        return messages

    async def give_up(self, case: Case, failure: BaseException, *, rendered: bool = False) -> None:
        """Forgets a case that failed before its decision, so that the request may be sent again.

        `rendered` says whether pictures had been begun: then only a failure of ours gives back what they cost. What
        stays paid is not paid again by who sends the request again.
        """
        given_back = ours(failure) or not rendered
        # An earlier attempt of it has paid where this one took it over and did not.
        paid = not given_back if case.spent.credits else case.attempt > 1
        async with self._database.transaction() as conn:
            request = case.subject.tenant, case.request_id, case.attempt
            forgotten = await requests.give_up(conn, *request, paid=paid)
            if forgotten and given_back:
                await self.allowance.return_credits(conn, case.subject, case.spent)
        if forgotten:
            self.allowance.give_back(case.spent.grant, failure, rendered=rendered)

    async def decision(self, tenant: str, decision_id: UUID) -> Recorded:
        """A decision of this tenant with its cases and pictures; raises NotFound, also for another tenant's."""
        async with self._database.transaction() as conn:
            decision = await decisions.get(conn, tenant, decision_id)
            if decision is None:
                raise NotFound("no such decision, or not decided yet", reason="DECISION_UNKNOWN")
            return Recorded(
                decision,
                await review_items.of_decision(conn, decision_id),
                await images.by_decision(conn, tenant, decision_id),
                await appeals.of_decision(conn, tenant, decision_id),
            )

    async def ready(self) -> None:
        """Raises Unavailable while Postgres does not answer or has not confirmed the policy."""
        await self._policy.ready()
        await self._database.ping()
