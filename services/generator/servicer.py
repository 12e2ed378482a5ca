"""gRPC ↔ generator."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import Future

import numpy as np
from numpy.typing import NDArray

from portcullis.v1 import checks_pb2, generator_pb2_grpc
from portcullis.v1 import generator_pb2 as pb
from services.core.clearance import ClearanceVerifier, digest, prompt_digests
from services.core.errors import InvalidInput
from services.core.imaging import decode_rgb, encode
from services.core.rpc import convert
from services.core.rpc.door import MAX_DEADLINE_SECONDS, Context
from services.generator.clearances import verify_clearances
from services.generator.job import (
    Job,
    Numbers,
    Operation,
    Rendered,
    Rgb,
    check_inputs,
    check_model,
    check_numbers,
    request_digest,
)
from services.generator.offer import Offer
from services.generator.remote_queue import RemoteQueue
from services.generator.render_queue import RenderQueue
from services.generator.ticket import Progress
from services.generator.vocabulary import Vocabulary, Wording

OPERATIONS: dict[checks_pb2.Operation.ValueType, Operation] = {
    checks_pb2.OPERATION_CREATE: "create",
    checks_pb2.OPERATION_EDIT: "edit",
    checks_pb2.OPERATION_VARIATION: "variation",
}


class GeneratorServicer(generator_pb2_grpc.GeneratorServiceServicer):
    """Renders what was cleared."""

    def __init__(
        self,
        offer: Offer,
        queue: RenderQueue | RemoteQueue,
        vocabulary: Vocabulary | None,
        verifier: ClearanceVerifier,
    ) -> None:
        """`vocabulary` is None for a model that takes any words."""
        self._offer = offer
        self._queue = queue
        self._vocabulary = vocabulary
        self._verifier = verifier

    async def Generate(self, request: pb.GenerateRequest, context: Context) -> AsyncIterator[pb.GenerateResponse]:
        """Checks, queues, tells how it goes, sends finished pictures; leaving the call gives the rendering up."""
        operation = _operation(request.operation, self._offer)
        numbers, inputs = self._admit(operation, request)
        wording = await asyncio.to_thread(self._say, request)
        job = await asyncio.to_thread(_job, request, operation, wording, numbers)
        loop = asyncio.get_running_loop()
        events: asyncio.Queue[Progress | Future[Rendered]] = asyncio.Queue()

        def tell(event: Progress | Future[Rendered]) -> None:
            loop.call_soon_threadsafe(events.put_nowait, event)

        subject, seconds = request.subject, context.time_remaining() or MAX_DEADLINE_SECONDS
        ticket = self._queue.submit(job, subject.tenant, convert.tier(subject.tier), seconds, tell)
        ticket.result.add_done_callback(tell)
        try:
            while isinstance(event := await events.get(), Progress):
                yield pb.GenerateResponse(progress=_progress(event))
            rendered = event.result()
            for index, picture in enumerate(rendered.pictures):
                image = pb.RenderedImage(
                    index=index,
                    image=await asyncio.to_thread(encode, picture),
                    seed=job.seed + index,
                    request_digest=request_digest(operation, inputs, numbers, self._offer.model),
                    model=convert.model_to_proto(self._offer.model),
                    substitutions=wording.substitutions,
                    parameters=_parameters(rendered, job.size),
                    cut_words=rendered.cut,
                    capability=self._offer.capability,
                )
                yield pb.GenerateResponse(image=image)
        finally:
            self._queue.cancel(ticket)

    async def GetCapabilities(
        self, _request: pb.GetCapabilitiesRequest, _context: Context
    ) -> pb.GetCapabilitiesResponse:
        """What the loaded model can do."""
        offer = self._offer
        return pb.GetCapabilitiesResponse(
            model=convert.model_to_proto(offer.model),
            operations=[number for number, operation in OPERATIONS.items() if operation in offer.operations],
            sizes=offer.sizes,
            vocabulary=offer.words,
            device=offer.device,
            default_steps=offer.steps,
            capabilities=[offer.capability],
        )

    async def GetLoad(self, _request: pb.GetLoadRequest, _context: Context) -> pb.GetLoadResponse:
        """How busy it is."""
        load = self._queue.load()
        return pb.GetLoadResponse(queued=load.queued, running=load.running, queue_limit=load.limit)

    def _admit(self, operation: Operation, request: pb.GenerateRequest) -> tuple[Numbers, dict[str, str]]:
        """Refuses bad requests and such without their clearances; returns its numbers and the digests of its inputs."""
        offer = self._offer
        check_model(request.model, offer.model)
        check_inputs(operation, request.prompt, request.negative_prompt, request.image, request.mask)
        asked = Numbers(request.count, request.size, request.steps, request.seed, request.guidance)
        check_numbers(operation, asked, offer.sizes)
        pictures = {"image": request.image, "mask": request.mask}
        digests = {name: digest(content) for name, content in pictures.items() if content}
        digests |= prompt_digests(request.prompt, request.negative_prompt)
        subject = request.subject
        verify_clearances(
            self._verifier, operation, digests, subject.tenant, subject.account, tuple(request.clearances)
        )
        return asked.completed(offer.sizes[0], offer.steps, offer.guidance), digests

    def _say(self, request: pb.GenerateRequest) -> Wording:
        if self._vocabulary is None:
            return Wording(request.prompt, request.negative_prompt, ())
        return self._vocabulary.say(request.prompt, request.negative_prompt)


def _operation(number: checks_pb2.Operation.ValueType, offer: Offer) -> Operation:
    operation = OPERATIONS.get(number)
    if operation not in offer.operations:
        raise InvalidInput("operation", f"must be one that this model offers: {', '.join(offer.operations)}")
    return operation


def _job(request: pb.GenerateRequest, operation: Operation, wording: Wording, numbers: Numbers) -> Job:
    image = decode_rgb(request.image) if request.image else None
    return Job(
        operation=operation,
        words=wording.words,
        unwanted=wording.unwanted,
        image=image,
        mask=None if image is None or not request.mask else _mask(request.mask, image),
        count=numbers.count,
        size=numbers.size,
        steps=numbers.steps,
        seed=numbers.seed,
        guidance=numbers.guidance,
    )


def _mask(png: bytes, image: Rgb) -> NDArray[np.bool_]:
    """True where the picture may change; of the picture's size, neither empty nor full."""
    mask = decode_rgb(png)[:, :, 0] >= 128
    if mask.shape != image.shape[:2]:
        raise InvalidInput("mask", "has another size than the image; the same width and height are needed")
    if not mask.any():
        raise InvalidInput("mask", "marks nothing; at least one white pixel says what may change")
    if mask.all():
        raise InvalidInput(
            "mask", "marks everything; at least one black pixel says what stays, or ask for a new picture"
        )
    return mask


def _progress(progress: Progress) -> pb.RenderProgress:
    return pb.RenderProgress(
        queue_position=progress.ahead, step=progress.step, steps=progress.steps, decoding=progress.decoding
    )


def _parameters(rendered: Rendered, size: int) -> checks_pb2.Parameters:
    return checks_pb2.Parameters(
        steps=rendered.steps, guidance=rendered.guidance, size=size, scheduler=rendered.scheduler
    )
