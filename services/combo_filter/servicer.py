"""gRPC ↔ combo filter."""

from __future__ import annotations

import asyncio

from portcullis.v1 import checks_pb2
from portcullis.v1 import combo_filter_pb2 as pb
from portcullis.v1 import combo_filter_pb2_grpc as stubs
from services.combo_filter.pipeline import ComboPipeline, Operation
from services.core.clearance import ClearanceVerifier, digest, prompt_digests
from services.core.errors import InvalidInput, PermissionDenied
from services.core.policy.categories import Stage
from services.core.rpc import convert
from services.core.rpc.door import Context
from services.core.rpc.judge import Judge

_OPERATIONS: dict[checks_pb2.Operation.ValueType, Operation] = {
    checks_pb2.OPERATION_EDIT: "edit",
    checks_pb2.OPERATION_VARIATION: "variation",
}


class ComboFilterServicer(stubs.ComboFilterServiceServicer):
    """Judges pairs whose halves were both cleared."""

    def __init__(self, pipeline: ComboPipeline, verifier: ClearanceVerifier, judge: Judge) -> None:
        self._pipeline = pipeline
        self._verifier = verifier
        self._judge = judge

    async def CheckPair(
        self, request: pb.ComboFilterServiceCheckPairRequest, context: Context
    ) -> pb.ComboFilterServiceCheckPairResponse:
        """One pair; both clearances must be for these very bytes, this account and these signals."""
        operation = _OPERATIONS.get(request.operation)
        if operation is None:
            raise InvalidInput("operation", "must be EDIT or VARIATION")
        text = prompt_digests(request.prompt, request.negative_prompt)
        upload = {"image": digest(request.image)} | ({"mask": digest(request.mask)} if request.mask else {})
        self._require(request, "prompt", text)
        self._require(request, "upload", upload)
        measurement = await asyncio.to_thread(
            self._pipeline.measure,
            operation,
            request.prompt,
            request.negative_prompt,
            request.image,
            request.mask or None,
            [convert.signal_from_proto(signal) for signal in request.prompt_signals],
            [convert.signal_from_proto(signal) for signal in request.upload_signals],
        )
        check = self._judge.judge(request.subject, "pair", text | upload, measurement)
        return pb.ComboFilterServiceCheckPairResponse(check=check)

    def _require(self, request: pb.ComboFilterServiceCheckPairRequest, stage: Stage, digests: dict[str, str]) -> None:
        """PermissionDenied unless the half of `stage` was cleared with exactly the signals that came along."""
        token = request.prompt_clearance if stage == "prompt" else request.upload_clearance
        signals = request.prompt_signals if stage == "prompt" else request.upload_signals
        subject = request.subject
        claim = self._verifier.verify(
            token, stage=stage, tenant=subject.tenant, account=subject.account, digests=digests
        )
        if claim.signals != convert.signals_digest(signals):
            raise PermissionDenied(f"the {stage}'s signals are not those that were cleared", reason="CLEARANCE_SIGNALS")
