"""gRPC ↔ image filter."""

from __future__ import annotations

import asyncio
import re

from portcullis.v1 import image_filter_pb2 as pb
from portcullis.v1 import image_filter_pb2_grpc as stubs
from services.core.clearance import digest
from services.core.errors import InvalidInput
from services.core.imaging import sanitise_mask
from services.core.policy.categories import Stage
from services.core.rpc import convert
from services.core.rpc.door import Context
from services.core.rpc.judge import Judge
from services.image_filter.pipeline import ImageMeasurement, ImagePipeline
from services.image_filter.refresh import BankRefresh
from services.image_filter.text_judge import TextJudge

_DIGEST = re.compile(r"[0-9a-f]{64}")


class ImageFilterServicer(stubs.ImageFilterServiceServicer):
    """Judges uploads and outputs."""

    def __init__(self, pipeline: ImagePipeline, banks: BankRefresh, texts: TextJudge, judge: Judge) -> None:
        self._pipeline = pipeline
        self._banks = banks
        self._texts = texts
        self._judge = judge

    async def CheckImage(self, request: pb.CheckImageRequest, context: Context) -> pb.CheckImageResponse:
        """One picture, with its mask for an edit and its request's digest for an output."""
        stage = convert.stage_of(request.stage, ("upload", "output"))
        _require_request_digest(request.request_digest, stage)
        await self._banks.ready()
        measured = await asyncio.to_thread(self._pipeline.measure, request.image)
        picture = measured.sanitised
        mask = b""
        if request.mask:
            mask = await asyncio.to_thread(sanitise_mask, request.mask, picture.width, picture.height)
        measurement = await self._texts.judge(request.subject, measured.measurement, measured.texts)
        digests = _digests(measured, mask, request.request_digest)
        return pb.CheckImageResponse(
            check=self._judge.judge(request.subject, stage, digests, measurement),
            image=picture.png,
            mask=mask,
            width=picture.width,
            height=picture.height,
        )


def _digests(measured: ImageMeasurement, mask: bytes, request_digest: str) -> dict[str, str]:
    """What the clearance binds."""
    digests = {"image": measured.sanitised.sha256}
    if mask:
        digests["mask"] = digest(mask)
    if request_digest:
        digests["request"] = request_digest
    return digests


def _require_request_digest(value: str, stage: Stage) -> None:
    if stage == "output" and not _DIGEST.fullmatch(value):
        raise InvalidInput("request_digest", "an output needs its request's sha256: 64 characters of 0-9 and a-f")
    if stage == "upload" and value:
        raise InvalidInput("request_digest", "only an output has one")
