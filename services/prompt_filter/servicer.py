"""gRPC ↔ prompt filter."""

from __future__ import annotations

import asyncio

from portcullis.v1 import prompt_filter_pb2 as pb
from portcullis.v1 import prompt_filter_pb2_grpc as stubs
from portcullis.v1.checks_pb2 import VERDICT_ALLOW, Subject
from services.core.clearance import prompt_digests
from services.core.rpc import convert
from services.core.rpc.door import Context
from services.core.rpc.judge import Judge
from services.core.verdicts import Verdict
from services.prompt_filter.bank_source import WordBanks
from services.prompt_filter.banks import Added
from services.prompt_filter.candidates import Candidates, Shadow
from services.prompt_filter.guard import Guard, second_opinion
from services.prompt_filter.painted import measure_painted, require_painted
from services.prompt_filter.pipeline import PromptPipeline


class PromptFilterServicer(stubs.PromptFilterServiceServicer):
    """Judges prompts, and measures what stands in pictures."""

    def __init__(self, candidates: Candidates, banks: WordBanks, judge: Judge, guard: Guard | None) -> None:
        self._candidates = candidates
        self._shadow = Shadow()
        self._banks = banks
        self._judge = judge
        self._guard = guard

    async def CheckPrompt(
        self, request: pb.PromptFilterServiceCheckPromptRequest, context: Context
    ) -> pb.PromptFilterServiceCheckPromptResponse:
        """One prompt; the clearance binds the sha256 of its exact UTF-8 bytes, and of the negative prompt's."""
        subject, prompt = request.subject, (request.prompt, request.negative_prompt)
        pipeline, added = self._candidates.active(), self._banks.of(subject.tenant)
        measured = await asyncio.to_thread(pipeline.measure, *prompt, added)
        active = self._judge.verdict(subject, "prompt", measured)
        if shadow := self._candidates.shadow():
            self._shadow.compare(active, subject.request_id, lambda: self._verdict(shadow, subject, prompt, added))
        if self._guard and active is Verdict.REVIEW:
            measured = await asyncio.to_thread(second_opinion, self._guard, request.prompt, measured)
        digests = prompt_digests(*prompt)
        check = self._judge.judge(subject, "prompt", digests, measured)
        if check.verdict != VERDICT_ALLOW:  # only what may come before a person is ever compared
            check.sketch = await asyncio.to_thread(pipeline.sketch, request.prompt)
        return pb.PromptFilterServiceCheckPromptResponse(
            check=check,
            language=measured.language,
            language_confidence=measured.language_confidence,
        )

    async def MeasureTexts(self, request: pb.MeasureTextsRequest, context: Context) -> pb.MeasureTextsResponse:
        """Texts out of a picture: what they say, without a verdict and without a clearance."""
        texts = require_painted(request.texts)
        pipeline, added = self._candidates.active(), self._banks.of(request.subject.tenant)
        measured = await asyncio.to_thread(measure_painted, pipeline, texts, added)
        return pb.MeasureTextsResponse(
            texts=[pb.MeasuredText(signals=map(convert.signal_to_proto, one.signals)) for one in measured],
            models=[convert.model_to_proto(model) for model in measured[0].models],
        )

    def _verdict(self, shadow: PromptPipeline, subject: Subject, prompt: tuple[str, str], added: Added) -> Verdict:
        """What the model on trial would come to; blocking."""
        return self._judge.verdict(subject, "prompt", shadow.measure(*prompt, added))
