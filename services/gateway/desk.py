"""The gateway's books: who asks, whether it was asked before, and the one transaction that records an answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from io import BytesIO
from uuid import UUID, uuid4

from google.protobuf.message import Message
from google.protobuf.proto import parse_length_prefixed, serialize_length_prefixed
from google.protobuf.wrappers_pb2 import BytesValue

from portcullis.v1 import checks_pb2 as pb
from services.core.clearance import digest, prompt_digests
from services.core.errors import Aborted, FailedPrecondition, NotFound, Unauthenticated
from services.core.evidence import Blob, EvidenceStore
from services.core.limits.charges import Use
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
from services.core.store.held_requests import HeldRequest
from services.core.store.images import RegisteredImage
from services.core.store.review_items import NewReviewItem
from services.core.verdicts import Reason, Verdict
from services.gateway import held
from services.gateway.allowance import NOTHING_SPENT, Allowance, Spent, ours
from services.gateway.answer import worst
from services.gateway.held import HeldRequests, Kept, Resumption
from services.gateway.journey import Stop
from services.gateway.sight import sight
from services.gateway.watch import Observer

ANSWER_LIFE = timedelta(seconds=requests.LIFE_SECONDS)


@dataclass(frozen=True, slots=True)
class Case:
    """A request that was admitted: for whom, and under which decision. `attempt` fences off a gateway that died.

    `hold_for` is why the account's standing lets nothing leave that no person has looked at; empty where it does.
    """

    subject: pb.Subject
    request_id: UUID
    decision_id: UUID
    attempt: int
    hold_for: str = ""
    spent: Spent = NOTHING_SPENT


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a request came to. `answer` makes the answer's messages, given the review item of each stop that has one.

    Advice decides about nothing that could be released, so that only what is sealed opens a case. `kept` is there where
    people can let the request go on, `resumes` where it is itself one that they let go on.
    """

    operation: str
    stops: Sequence[Stop]
    answer: Callable[[Mapping[int, UUID]], Sequence[Message]]
    advice: bool = False
    kept: Kept | None = None
    resumes: Resumption | None = None

    @property
    def rendered(self) -> bool:
        """Whether pictures were made, released or not."""
        return any(stop.stage == pb.STAGE_OUTPUT for stop in self.stops)

    def needs_person(self, stop: Stop, seals: frozenset[str]) -> bool:
        """Whether a case must be opened: for what is sealed always, else for every REVIEW, but never a second time."""
        if stop.released:
            return False
        if stop.touches(seals):
            return True
        return not self.advice and convert.verdict(stop.check.verdict) is Verdict.REVIEW


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
        self._evidence = evidence
        self._policy = policy
        self._evidence_life = evidence_life
        self.observer = Observer(database, policy)
        self.held = HeldRequests(database, evidence)
        self.allowance = Allowance(database, policy)

    @property
    def seals(self) -> frozenset[str]:
        """The categories whose cases exist for the sealed role alone, by the policy in force."""
        return self._policy.current.document.review.seals

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
        match begun:
            case requests.Running():
                raise Aborted(
                    "the same request is being worked on", reason="REQUEST_RUNNING", retry_after=min(begun.seconds, 5)
                )
            case requests.Answered():
                return Replay(await asyncio.to_thread(self._read_answer, begun.answer))
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
        written = await asyncio.to_thread(self._write, case, outcome, items, seals, messages)
        async with self._database.transaction() as conn:
            for kind, blob in written.blobs:
                life = ANSWER_LIFE if kind == "answer" else self._evidence_life
                await evidence_rows.record(conn, case.subject.tenant, kind, blob, life)
            await decisions.record(conn, _decision(case, outcome), written.items)
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

        `rendered` says whether pictures had been begun: then only a failure of ours gives back what they cost.
        """
        async with self._database.transaction() as conn:
            forgotten = await requests.give_up(conn, case.subject.tenant, case.request_id, case.attempt)
            if forgotten and (ours(failure) or not rendered):
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

    def _read_answer(self, blob_id: UUID) -> tuple[bytes, ...]:
        return tuple(_unpack(self._evidence.get(blob_id)))

    def _write(
        self,
        case: Case,
        outcome: Outcome,
        items: Mapping[int, UUID],
        seals: frozenset[str],
        messages: Sequence[Message],
    ) -> _Written:
        """Encrypts the answer and what was stopped onto the disk; what no row names later is swept away."""
        answered = self._evidence.put(_pack(messages))
        blobs: list[tuple[evidence_rows.Kind, Blob]] = [("answer", answered)]
        opened: list[NewReviewItem] = []
        stopped: list[stops.Stop] = []
        for place, stop in enumerate(outcome.stops):
            closed = not stop.open and not outcome.advice
            if not closed and place not in items:
                continue
            sealed = stop.touches(seals)
            kept = self._keep(stop, blobs, sealed=sealed)
            if place in items:
                opened.append(_item(items[place], case, stop, kept, sealed=sealed))
            if closed:
                stopped.append(_stopped(case, place, stop, kept))
        waits = self._hold(case, outcome, stopped, blobs)
        return _Written(answered.id, tuple(blobs), tuple(opened), tuple(stopped), waits)

    def _hold(
        self,
        case: Case,
        outcome: Outcome,
        stopped: Sequence[stops.Stop],
        blobs: list[tuple[evidence_rows.Kind, Blob]],
    ) -> HeldRequest | None:
        if outcome.kept is None:
            return None
        blob = self._evidence.put(held.pack(outcome.kept))
        blobs.append(("order", blob))
        return held.row(case.decision_id, case.subject, blob.id, stopped, outcome.resumes, self._evidence_life)

    def _keep(
        self, stop: Stop, blobs: list[tuple[evidence_rows.Kind, Blob]], *, sealed: bool
    ) -> Mapping[evidence_rows.Kind, UUID]:
        kept: dict[evidence_rows.Kind, UUID] = {}
        content: Mapping[evidence_rows.Kind, bytes] = {
            "prompt": stop.prompt.encode(),
            "negative_prompt": stop.negative_prompt.encode(),
            "image": stop.image,
            "mask": stop.mask,
        }
        for kind, data in content.items():
            if data:
                blob = self._evidence.put(data, sealed=sealed)
                blobs.append((kind, blob))
                kept[kind] = blob.id
        return kept


@dataclass(frozen=True, slots=True)
class _Written:
    """What lies encrypted on the disk before the transaction that names it."""

    answer: UUID
    blobs: tuple[tuple[evidence_rows.Kind, Blob], ...]
    items: tuple[NewReviewItem, ...]
    stops: tuple[stops.Stop, ...]
    held: HeldRequest | None


def _item(
    item_id: UUID, case: Case, stop: Stop, kept: Mapping[evidence_rows.Kind, UUID], *, sealed: bool
) -> NewReviewItem:
    return NewReviewItem(
        item_id=item_id,
        stage=convert.STAGES[stop.stage],
        verdict=convert.verdict(stop.check.verdict),
        reasons=_reasons(stop),
        held=stop.held,
        sealed=sealed,
        tier=convert.tier(case.subject.tier),
        sketch=stop.check.sketch,
        prompt=kept.get("prompt"),
        negative_prompt=kept.get("negative_prompt"),
        image=kept.get("image"),
        mask=kept.get("mask"),
    )


def _stopped(case: Case, place: int, stop: Stop, kept: Mapping[evidence_rows.Kind, UUID]) -> stops.Stop:
    return stops.Stop(
        decision_id=case.decision_id,
        place=place,
        tenant=case.subject.tenant,
        account=case.subject.account,
        stage=convert.STAGES[stop.stage],
        output=stop.index,
        verdict=convert.verdict(stop.check.verdict),
        held=stop.held,
        reasons=_reasons(stop),
        signals=tuple(convert.signal_from_proto(signal) for signal in stop.check.signals),
        models=tuple(convert.model_from_proto(model) for model in stop.check.models),
        policy=stop.check.policy,
        digests=stop.digests,
        sketch=stop.check.sketch,
        prompt=kept.get("prompt"),
        negative_prompt=kept.get("negative_prompt"),
        image=kept.get("image"),
        mask=kept.get("mask"),
    )


def _decision(case: Case, outcome: Outcome) -> Decision:
    stops = outcome.stops
    signals = (convert.signal_from_proto(signal) for stop in stops for signal in stop.check.signals)
    models = (convert.model_from_proto(model) for stop in stops for model in stop.check.models)
    reasons = {reason: None for stop in stops for reason in _reasons(stop)}
    return Decision(
        decision_id=case.decision_id,
        request_id=case.request_id,
        tenant=case.subject.tenant,
        account=case.subject.account,
        operation=outcome.operation,
        verdict=worst(stop.check for stop in stops),
        reasons=tuple(sorted(reasons, key=lambda reason: -reason.verdict)),
        signals=tuple(dict.fromkeys(signals)),
        policy=stops[0].check.policy if stops else "",
        models=tuple(dict.fromkeys(models)),
        digests=_digests(stops),
        resumes=outcome.resumes.held.decision_id if outcome.resumes else None,
    )


def _reasons(stop: Stop) -> tuple[Reason, ...]:
    return tuple(convert.reason_from_proto(reason) for reason in stop.check.reasons)


def _digests(stops: Sequence[Stop]) -> dict[str, str]:
    digests: dict[str, str] = {}
    for stop in stops:
        if stop.stage == pb.STAGE_OUTPUT:
            digests[f"output{stop.index}"] = digest(stop.image)
            continue
        if stop.prompt:
            digests |= prompt_digests(stop.prompt, stop.negative_prompt)
        if stop.image:
            digests["image"] = digest(stop.image)
        if stop.mask:
            digests["mask"] = digest(stop.mask)
    return digests


def _pack(messages: Sequence[Message]) -> bytes:
    packed = BytesIO()
    for message in messages:
        serialize_length_prefixed(BytesValue(value=message.SerializeToString()), packed)
    return packed.getvalue()


def _unpack(packed: bytes) -> Iterator[bytes]:
    stream = BytesIO(packed)
    while (message := parse_length_prefixed(BytesValue, stream)) is not None:
        yield message.value
