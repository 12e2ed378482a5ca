"""Rooms that answer as a test says, and a request on its way through them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import cast
from uuid import UUID, uuid4

from portcullis.v1 import (
    checks_pb2 as pb,
)
from portcullis.v1 import (
    combo_filter_pb2,
    gateway_pb2,
    generator_pb2,
    image_filter_pb2,
    provenance_pb2,
)
from services.core.clearance import digest
from services.gateway import answer
from services.gateway.journey import Journey
from services.gateway.order import Order
from services.gateway.rooms import Rooms

ALLOW = pb.Check(verdict=pb.VERDICT_ALLOW, clearance="token")
BLOCK = pb.Check(verdict=pb.VERDICT_BLOCK, reasons=[pb.Reason(category="hate", verdict=pb.VERDICT_BLOCK)])
HOLD = pb.Check(verdict=pb.VERDICT_REVIEW, reasons=[pb.Reason(category="political", verdict=pb.VERDICT_REVIEW)])
LOOK_LATER = pb.Check(verdict=pb.VERDICT_REVIEW, clearance="token")
ALLOW_WITHOUT_TOKEN = pb.Check(verdict=pb.VERDICT_ALLOW)
UNDECIDED = pb.Check(clearance="token")
PARAMETERS = pb.Parameters(steps=8, guidance=2.0, size=256, scheduler="DDIMScheduler")


class ScriptedRooms:
    """Answers as the test says and notes what was asked; the edge of a unit test, never used beyond it."""

    def __init__(self, **answers: pb.Check) -> None:
        self.answers = answers
        self.asked: list[str] = []
        self.rendering: generator_pb2.GenerateRequest | None = None
        self.marked: list[provenance_pb2.MarkImageRequest] = []
        self.outputs: dict[int, pb.Check] = {}
        self.rendered = 4
        self.withdrawn = False
        self.vouched = ""  # what the registry vouches for; empty: for what it marked
        self.any_words = True
        self.lineage: pb.Lineage | None = None

    async def own_size(self) -> int:
        return 64

    async def takes_any_words(self) -> bool:
        return self.any_words

    async def check_prompt(self, subject: pb.Subject, prompt: str, negative_prompt: str) -> pb.Check:
        self.asked.append("prompt")
        return self.answers.get("prompt", ALLOW)

    async def check_images(self, request: image_filter_pb2.CheckImagesRequest) -> list[image_filter_pb2.CheckedImage]:
        stage = "upload" if request.stage == pb.STAGE_UPLOAD else "output"
        self.asked.append(stage)
        if stage == "upload":
            self.lineage = request.images[0].lineage
        return [
            image_filter_pb2.CheckedImage(
                check=self._check(stage, one.image), image=b"clean" + one.image, mask=one.mask
            )
            for one in request.images
        ]

    def _check(self, stage: str, image: bytes) -> pb.Check:
        check = self.answers.get(stage, ALLOW)
        return self.outputs.get(image[0], check) if stage == "output" else check

    async def check_pair(self, request: combo_filter_pb2.ComboFilterServiceCheckPairRequest) -> pb.Check:
        self.asked.append("pair")
        return self.answers.get("pair", ALLOW)

    async def generate(self, request: generator_pb2.GenerateRequest) -> AsyncIterator[generator_pb2.GenerateResponse]:
        self.asked.append("generate")
        self.rendering = request
        yield generator_pb2.GenerateResponse(progress=generator_pb2.RenderProgress(queue_position=1))
        yield generator_pb2.GenerateResponse(progress=generator_pb2.RenderProgress(step=1, steps=2))
        yield generator_pb2.GenerateResponse(progress=generator_pb2.RenderProgress(step=2, steps=2, decoding=True))
        for index in range(min(request.count, self.rendered)):
            image = generator_pb2.RenderedImage(
                index=index, image=bytes([index]), seed=7 + index, request_digest="d", parameters=PARAMETERS
            )
            yield generator_pb2.GenerateResponse(image=image)

    async def mark(self, request: provenance_pb2.MarkImageRequest) -> provenance_pb2.MarkImageResponse:
        self.asked.append("mark")
        self.marked.append(request)
        marked = b"marked" + request.image
        return provenance_pb2.MarkImageResponse(
            image=marked,
            provenance=provenance_pb2.Provenance(image_id=str(uuid4()), sha256=self.vouched or digest(marked)),
        )

    async def find(self, subject: pb.Subject, image: bytes) -> provenance_pb2.ProvenanceServiceInspectImageResponse:
        self.asked.append("inspect")
        parent = provenance_pb2.Provenance(image_id="parent")
        inspection = provenance_pb2.Inspection(provenance=parent, withdrawn=self.withdrawn)
        return provenance_pb2.ProvenanceServiceInspectImageResponse(inspection=inspection, depth=2)


def journey(
    rooms: ScriptedRooms, operation: pb.Operation.ValueType = pb.OPERATION_CREATE, hold_for: str = ""
) -> Journey:
    order = Order(
        operation=operation,
        count=4 if operation == pb.OPERATION_CREATE else 3,
        seed=1,
        size=0,
        steps=0,
        format=pb.IMAGE_FORMAT_PNG,
        prompt="" if operation == pb.OPERATION_VARIATION else "a cat",
        image=b"" if operation == pb.OPERATION_CREATE else b"upload",
        mask=b"mask" if operation == pb.OPERATION_EDIT else b"",
    )
    return Journey(cast("Rooms", rooms), pb.Subject(tenant="acme"), "decision", order, hold_for)


async def travelled(journey: Journey) -> list[gateway_pb2.Event]:
    async for _ in journey.travel():
        pass
    items = {place: UUID(int=place) for place, stop in enumerate(journey.stops) if stop.held}
    return answer.last_events(journey, items)


def kinds(events: list[gateway_pb2.Event]) -> list[str | None]:
    return [event.WhichOneof("kind") for event in events]
