"""What is written of an answer: rows, and what they name, encrypted on the disk."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from io import BytesIO
from uuid import UUID

from google.protobuf.message import Message
from google.protobuf.proto import parse_length_prefixed, serialize_length_prefixed
from google.protobuf.wrappers_pb2 import BytesValue

from portcullis.v1 import checks_pb2 as pb
from services.core.clearance import digest, prompt_digests
from services.core.evidence import Blob, EvidenceStore
from services.core.rpc import convert
from services.core.store import evidence_rows, requests, stops
from services.core.store.decisions import Decision
from services.core.store.held_requests import HeldRequest
from services.core.store.review_items import NewReviewItem
from services.core.verdicts import Reason
from services.gateway import held
from services.gateway.answer import worst
from services.gateway.case import Case, Outcome
from services.gateway.journey import Revision
from services.gateway.stop import Stop

ANSWER_LIFE = timedelta(seconds=requests.LIFE_SECONDS)


@dataclass(frozen=True, slots=True)
class Written:
    """What lies encrypted on the disk before the transaction that names it, each blob with its life; and the rows."""

    answer: UUID
    blobs: tuple[tuple[evidence_rows.Kind, Blob, timedelta], ...]
    decision: Decision
    items: tuple[NewReviewItem, ...]
    stops: tuple[stops.Stop, ...]
    held: HeldRequest | None


class Records:
    """Writes evidence and makes rows; the rows are for the caller's transaction."""

    def __init__(self, evidence: EvidenceStore, evidence_life: timedelta) -> None:
        self._evidence = evidence
        self._evidence_life = evidence_life

    def answer(self, blob_id: UUID) -> tuple[bytes, ...]:
        """The messages of an answer, as they were sent; raises NotFound where it has expired."""
        return tuple(_unpack(self._evidence.get(blob_id)))

    def write(
        self,
        case: Case,
        outcome: Outcome,
        items: Mapping[int, UUID],
        seals: frozenset[str],
        messages: Sequence[Message],
    ) -> Written:
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
        lives = tuple((kind, blob, self._life(kind)) for kind, blob in blobs)
        return Written(answered.id, lives, _decision(case, outcome), tuple(opened), tuple(stopped), waits)

    def _life(self, kind: evidence_rows.Kind) -> timedelta:
        return ANSWER_LIFE if kind == "answer" else self._evidence_life

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
        digests=_digests(stops) | _revised(outcome.revision),
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


def _revised(revision: Revision | None) -> dict[str, str]:
    return {"revised_prompt": digest(revision.prompt.encode())} if revision else {}
