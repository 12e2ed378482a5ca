"""gRPC ↔ image filter."""

from __future__ import annotations

import asyncio
import re

from portcullis.v1 import image_filter_pb2 as pb
from portcullis.v1 import image_filter_pb2_grpc as stubs
from portcullis.v1.checks_pb2 import VERDICT_ALLOW, Subject
from services.core.clearance import digest
from services.core.errors import InvalidInput
from services.core.imaging import sanitise_mask
from services.core.policy.categories import Stage
from services.core.rpc import convert
from services.core.rpc.door import Context
from services.core.rpc.judge import Judge
from services.image_filter.hashes import sketch_of
from services.image_filter.lineage import with_lineage
from services.image_filter.pipeline import ImageMeasurement, ImagePipeline
from services.image_filter.refresh import BankRefresh
from services.image_filter.text_judge import TextJudge

MOST_IMAGES = 16
_DIGEST = re.compile(r"[0-9a-f]{64}")


class ImageFilterServicer(stubs.ImageFilterServiceServicer):
    """Judges uploads and outputs."""

    def __init__(self, pipeline: ImagePipeline, banks: BankRefresh, texts: TextJudge, judge: Judge) -> None:
        self._pipeline = pipeline
        self._banks = banks
        self._texts = texts
        self._judge = judge

    async def CheckImages(self, request: pb.CheckImagesRequest, context: Context) -> pb.CheckImagesResponse:
        """The pictures of one request: an upload with its mask for an edit, or outputs with their request's digest."""
        stage = convert.stage_of(request.stage, ("upload", "output"))
        if not 1 <= len(request.images) <= MOST_IMAGES:
            raise InvalidInput("images", f"has {len(request.images)} pictures; 1 to {MOST_IMAGES} are allowed")
        for image in request.images:
            _require_request_digest(image.request_digest, stage)
        await self._banks.ready()
        files, tenant = [image.image for image in request.images], request.subject.tenant
        measured = await asyncio.to_thread(self._pipeline.measure_all, files, tenant)
        checked = [
            await self._checked(request.subject, stage, image, one)
            for image, one in zip(request.images, measured, strict=True)
        ]
        return pb.CheckImagesResponse(images=checked)

    async def _checked(
        self, subject: Subject, stage: Stage, image: pb.UncheckedImage, measured: ImageMeasurement
    ) -> pb.CheckedImage:
        picture, mask = measured.sanitised, b""
        if image.mask:
            mask = await asyncio.to_thread(sanitise_mask, image.mask, picture)
        measurement = await self._texts.judge(subject, measured.measurement, measured.texts)
        if stage == "upload":
            measurement = with_lineage(measurement, image.lineage)
        digests = _digests(measured, mask, image.request_digest)
        check = self._judge.judge(subject, stage, digests, measurement)
        if check.verdict != VERDICT_ALLOW:  # only what may come before a person is ever compared
            check.sketch = await asyncio.to_thread(sketch_of, picture.rgb)
        return pb.CheckedImage(
            check=check,
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
