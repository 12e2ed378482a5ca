"""gRPC ↔ prompt filter."""

from __future__ import annotations

import asyncio

from portcullis.v1 import prompt_filter_pb2 as pb
from portcullis.v1 import prompt_filter_pb2_grpc as stubs
from services.core.clearance import prompt_digests
from services.core.rpc.door import Context
from services.core.rpc.judge import Judge
from services.prompt_filter.pipeline import PromptPipeline


class PromptFilterServicer(stubs.PromptFilterServiceServicer):
    """Judges prompts."""

    def __init__(self, pipeline: PromptPipeline, judge: Judge) -> None:
        self._pipeline = pipeline
        self._judge = judge

    async def CheckPrompt(
        self, request: pb.PromptFilterServiceCheckPromptRequest, context: Context
    ) -> pb.PromptFilterServiceCheckPromptResponse:
        """One prompt; the clearance binds the sha256 of its exact UTF-8 bytes, and of the negative prompt's."""
        measured = await asyncio.to_thread(self._pipeline.measure, request.prompt, request.negative_prompt)
        digests = prompt_digests(request.prompt, request.negative_prompt)
        return pb.PromptFilterServiceCheckPromptResponse(
            check=self._judge.judge(request.subject, "prompt", digests, measured),
            language=measured.language,
            language_confidence=measured.language_confidence,
        )
