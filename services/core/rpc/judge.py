"""From a measurement to a check: the active policy decides, and what may go on gets a clearance."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from portcullis.v1 import checks_pb2 as pb
from services.core import telemetry
from services.core.clearance import Claim, ClearanceSigner
from services.core.config import HouseSettings
from services.core.policy.categories import Stage
from services.core.policy.coverage import require_measured
from services.core.policy.evaluate import evaluate
from services.core.policy.source import ActivePolicy
from services.core.rpc import convert
from services.core.signals import Measurement
from services.core.verdicts import Verdict


class Judge:
    """Turns measurements of one filter into checks."""

    def __init__(self, policy: ActivePolicy, signer: ClearanceSigner) -> None:
        self._policy = policy
        self._signer = signer

    @classmethod
    def load(cls, house: HouseSettings, issuer: str, policy: ActivePolicy) -> Judge:
        """Reads the issuer's key from the data home."""
        lifetime = timedelta(seconds=house.clearance_seconds)
        return cls(policy, ClearanceSigner.load(house.home / "keys" / "clearance", issuer, lifetime))

    def verdict(self, subject: pb.Subject, stage: Stage, measurement: Measurement) -> Verdict:
        """What `judge` would come to; nothing is counted and nothing cleared."""
        return evaluate(self._policy.current, stage, convert.tier(subject.tier), measurement).verdict

    def judge(
        self, subject: pb.Subject, stage: Stage, digests: Mapping[str, str], measurement: Measurement
    ) -> pb.Check:
        """Evaluates the active policy; ALLOW, and REVIEW that is not held, get a clearance that binds `digests`.

        Raises Unavailable where something that must be was not measured, and where the policy is stale.
        """
        require_measured(stage, measurement)
        policy = self._policy.current
        judgement = evaluate(policy, stage, convert.tier(subject.tier), measurement)
        check = convert.check_to_proto(measurement, judgement, policy.id, "")
        category = judgement.reasons[0].category if judgement.reasons else "none"
        telemetry.count_verdict(stage, judgement.verdict, category)
        telemetry.count_scores(stage, measurement.scores())
        for step, milliseconds in measurement.timings.items():
            telemetry.STEP_SECONDS.labels(step).observe(milliseconds / 1000, telemetry.exemplar())
        if judgement.verdict is Verdict.ALLOW or (judgement.verdict is Verdict.REVIEW and not judgement.held):
            claim = Claim(
                tenant=subject.tenant,
                account=subject.account,
                stage=stage,
                digests=digests,
                policy=policy.id,
                models=tuple(model.source for model in measurement.models),
                signals=convert.signals_digest(check.signals),
            )
            check.clearance = self._signer.issue(claim)
        return check
