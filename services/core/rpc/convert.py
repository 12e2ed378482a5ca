"""Values of the house ↔ messages of the contract; the one place that knows both."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from hashlib import sha256

from portcullis.v1 import checks_pb2 as pb
from portcullis.v1 import gateway_pb2 as api
from portcullis.v1.provenance_pb2 import Provenance
from services.core.errors import InvalidInput
from services.core.policy.categories import Stage
from services.core.signals import (
    BankMatch,
    Box,
    Evidence,
    Lineage,
    Measurement,
    ModelVersion,
    Signal,
    TextForm,
    TextSpan,
)
from services.core.standing.ladder import Standing
from services.core.store.accounts import Account
from services.core.store.images import RegisteredImage
from services.core.verdicts import Judgement, Reason, Tier, Verdict

_FORMS: dict[TextForm, pb.TextForm.ValueType] = {
    "original": pb.TEXT_FORM_ORIGINAL,
    "undressed": pb.TEXT_FORM_UNDRESSED,
    "negative": pb.TEXT_FORM_NEGATIVE,
}
_FORM_NAMES = {number: name for name, number in _FORMS.items()}
STAGES: dict[pb.Stage.ValueType, Stage] = {
    pb.STAGE_PROMPT: "prompt",
    pb.STAGE_UPLOAD: "upload",
    pb.STAGE_PAIR: "pair",
    pb.STAGE_OUTPUT: "output",
}
STAGE_NUMBERS: dict[Stage, pb.Stage.ValueType] = {stage: number for number, stage in STAGES.items()}
TIERS: dict[Tier, pb.Tier.ValueType] = {
    "new": pb.TIER_NEW,
    "trusted": pb.TIER_TRUSTED,
    "invited": pb.TIER_INVITED,
    "red_team": pb.TIER_RED_TEAM,
}
_VERDICTS: dict[Verdict, pb.Verdict.ValueType] = {
    Verdict.ALLOW: pb.VERDICT_ALLOW,
    Verdict.REVIEW: pb.VERDICT_REVIEW,
    Verdict.BLOCK: pb.VERDICT_BLOCK,
}

_STANDINGS: dict[Standing, api.Standing.ValueType] = {
    "good": api.STANDING_GOOD,
    "warned": api.STANDING_WARNED,
    "cooling": api.STANDING_COOLING,
    "held": api.STANDING_HELD,
    "suspended": api.STANDING_SUSPENDED,
    "banned": api.STANDING_BANNED,
}


def tier(number: pb.Tier.ValueType) -> Tier:
    """The tier's name; what is not said counts as new."""
    return next((name for name, value in TIERS.items() if value == number), "new")


def verdict(number: pb.Verdict.ValueType) -> Verdict:
    """The verdict; what is not said blocks."""
    return next((name for name, value in _VERDICTS.items() if value == number), Verdict.BLOCK)


def verdict_to_proto(value: Verdict) -> pb.Verdict.ValueType:
    """The number of a verdict on the wire."""
    return _VERDICTS[value]


def stage_of(number: pb.Stage.ValueType, allowed: Sequence[Stage]) -> Stage:
    """The stage's name; raises InvalidInput unless it is one of `allowed`."""
    name = STAGES.get(number)
    if name is None or name not in allowed:
        raise InvalidInput("stage", f"must be one of {', '.join(allowed)}")
    return name


def evidence_to_proto(value: Evidence) -> pb.Evidence:
    """One piece of evidence as a message."""
    match value:
        case TextSpan():
            return pb.Evidence(span=pb.TextSpan(start=value.start, end=value.end, form=_FORMS[value.form]))
        case Box():
            return pb.Evidence(box=pb.Box(x=value.x, y=value.y, w=value.w, h=value.h))
        case BankMatch():
            return pb.Evidence(match=pb.BankMatch(bank=value.bank, entry=value.entry, distance=value.distance))
        case Lineage():
            return pb.Evidence(lineage=pb.Lineage(depth=value.depth, ancestors=value.ancestors))


def evidence_from_proto(message: pb.Evidence) -> Evidence | None:
    """One piece of evidence as a value, None where the message holds none."""
    match message.WhichOneof("kind"):
        case "span":
            return TextSpan(message.span.start, message.span.end, _FORM_NAMES.get(message.span.form, "original"))
        case "box":
            return Box(message.box.x, message.box.y, message.box.w, message.box.h)
        case "match":
            return BankMatch(message.match.bank, message.match.entry, message.match.distance)
        case "lineage":
            return Lineage(message.lineage.depth, tuple(message.lineage.ancestors))
        case _:
            return None


def signal_to_proto(signal: Signal) -> pb.Signal:
    """One signal as a message."""
    evidence = None if signal.evidence is None else evidence_to_proto(signal.evidence)
    return pb.Signal(category=signal.category, score=signal.score, source=signal.source, evidence=evidence)


def signal_from_proto(message: pb.Signal) -> Signal:
    """One signal as a value."""
    evidence = evidence_from_proto(message.evidence) if message.HasField("evidence") else None
    return Signal(message.category, message.score, message.source, evidence)


def signals_digest(signals: Iterable[pb.Signal]) -> str:
    """sha256 in hex over the signals as sent, so that a clearance can bind them."""
    return sha256(
        b"".join(pb.Check(signals=[signal]).SerializeToString(deterministic=True) for signal in signals)
    ).hexdigest()


def reason_to_proto(reason: Reason) -> pb.Reason:
    """One reason as a message."""
    return pb.Reason(
        category=reason.category,
        message=reason.message,
        score=reason.score,
        threshold=reason.threshold,
        rule=reason.rule,
        evidence=[evidence_to_proto(item) for item in reason.evidence],
        verdict=verdict_to_proto(reason.verdict),
    )


def reason_from_proto(message: pb.Reason) -> Reason:
    """One reason as a value."""
    evidence = (evidence_from_proto(item) for item in message.evidence)
    return Reason(
        category=message.category,
        message=message.message,
        score=message.score,
        threshold=message.threshold,
        verdict=verdict(message.verdict),
        rule=message.rule,
        evidence=tuple(item for item in evidence if item is not None),
    )


def model_from_proto(message: pb.ModelVersion) -> ModelVersion:
    """One model as a value."""
    return ModelVersion(message.name, message.version, message.digest)


def model_to_proto(model: ModelVersion) -> pb.ModelVersion:
    """One model as a message."""
    return pb.ModelVersion(name=model.name, version=model.version, digest=model.digest)


def provenance_to_proto(image: RegisteredImage) -> Provenance:
    """What a platform may know of its own released picture."""
    return Provenance(
        image_id=str(image.image_id),
        payload_id=image.payload_id.hex(),
        sha256=image.sha256.hex(),
        width=image.width,
        height=image.height,
        withdrawn=image.withdrawn_at is not None,
    )


def check_to_proto(measurement: Measurement, judgement: Judgement, policy: str, clearance: str) -> pb.Check:
    """The whole result of a check; `clearance` is empty where nothing may go on."""
    return pb.Check(
        verdict=verdict_to_proto(judgement.verdict),
        reasons=[reason_to_proto(reason) for reason in judgement.reasons],
        signals=[signal_to_proto(signal) for signal in measurement.signals],
        scores=measurement.scores(),
        clearance=clearance,
        policy=policy,
        models=[model_to_proto(model) for model in measurement.models],
        timings=[pb.Timing(step=step, milliseconds=ms) for step, ms in measurement.timings.items()],
        capabilities=measurement.capabilities,
    )


def standing_to_proto(account: Account, now: datetime) -> api.Standing.ValueType:
    """What an account's conduct has led to, as it holds at `now`."""
    return _STANDINGS[account.standing_at(now)]
