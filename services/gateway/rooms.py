"""The other rooms as the gateway sees them: one method a call, under a deadline, with errors that mean something."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Sequence

import grpc

from portcullis.v1 import (
    checks_pb2,
    combo_filter_pb2,
    combo_filter_pb2_grpc,
    generator_pb2,
    generator_pb2_grpc,
    image_filter_pb2,
    image_filter_pb2_grpc,
    prompt_filter_pb2,
    prompt_filter_pb2_grpc,
    provenance_pb2,
    provenance_pb2_grpc,
    review_pb2,
    review_pb2_grpc,
)
from services.core.config import HouseSettings
from services.core.errors import PortcullisError, Unavailable
from services.core.rpc.channel import answer, answers, connect
from services.core.rpc.door import MAX_DEADLINE_SECONDS

IDENTITY = "gateway"
# What a picture's side is taken for while the generator has not said its own: rather too large than too small.
ASSUMED_SIZE = 1024
CAPABILITIES_SECONDS = 60.0
CAPABILITIES_WAIT_SECONDS = 1.0


class Rooms:
    """Channels to every room that the gateway calls."""

    def __init__(self, house: HouseSettings, check_seconds: float) -> None:
        """`check_seconds` bounds every call but rendering, which the caller's own deadline bounds."""
        self._timeout = check_seconds
        self._capabilities, self._capabilities_until = generator_pb2.GetCapabilitiesResponse(), 0.0
        self._channels: list[grpc.aio.Channel] = []

        def channel(room: str) -> grpc.aio.Channel:
            self._channels.append(connect(house, IDENTITY, room))
            return self._channels[-1]

        self._prompts = prompt_filter_pb2_grpc.PromptFilterServiceStub(channel("prompt_filter"))
        self._images = image_filter_pb2_grpc.ImageFilterServiceStub(channel("image_filter"))
        self._pairs = combo_filter_pb2_grpc.ComboFilterServiceStub(channel("combo_filter"))
        self._generator = generator_pb2_grpc.GeneratorServiceStub(channel("generator"))
        self._provenance = provenance_pb2_grpc.ProvenanceServiceStub(channel("provenance"))
        self._review = review_pb2_grpc.ReviewServiceStub(channel("review"))

    async def close(self) -> None:
        """Closes all channels."""
        for channel in self._channels:
            await channel.close(None)

    async def check_prompt(self, subject: checks_pb2.Subject, prompt: str, negative_prompt: str) -> checks_pb2.Check:
        """Asks the prompt filter."""
        request = prompt_filter_pb2.PromptFilterServiceCheckPromptRequest(
            subject=subject, prompt=prompt, negative_prompt=negative_prompt
        )
        response = await answer(self._prompts.CheckPrompt(request, timeout=self._timeout), "prompt filter")
        return response.check

    async def check_images(
        self, request: image_filter_pb2.CheckImagesRequest
    ) -> Sequence[image_filter_pb2.CheckedImage]:
        """Asks the image filter; raises Unavailable unless it speaks of every picture."""
        response = await answer(self._images.CheckImages(request, timeout=self._timeout), "image filter")
        if len(response.images) != len(request.images):
            raise Unavailable("the image filter did not judge every picture", reason="IMAGE_FILTER_INCOMPLETE")
        return response.images

    async def check_pair(self, request: combo_filter_pb2.ComboFilterServiceCheckPairRequest) -> checks_pb2.Check:
        """Asks the combo filter."""
        response = await answer(self._pairs.CheckPair(request, timeout=self._timeout), "combo filter")
        return response.check

    def generate(self, request: generator_pb2.GenerateRequest) -> AsyncGenerator[generator_pb2.GenerateResponse, None]:
        """Renders; closing the iterator cancels the rendering."""
        return answers(self._generator.Generate(request, timeout=MAX_DEADLINE_SECONDS), "generator")

    async def own_size(self) -> int:
        """Side in pixels of what is rendered where a request names none."""
        said = await self._said()
        return said.sizes[0] if said.sizes else ASSUMED_SIZE

    async def takes_any_words(self) -> bool:
        """Whether the model is none of a small vocabulary; no, while the generator has not said."""
        said = await self._said()
        return said.HasField("model") and not said.vocabulary

    async def _said(self) -> generator_pb2.GetCapabilitiesResponse:
        """What the generator said last that it can do; asked again once a minute."""
        if time.monotonic() >= self._capabilities_until:
            self._capabilities_until = time.monotonic() + CAPABILITIES_SECONDS
            request = generator_pb2.GetCapabilitiesRequest()
            try:
                asked = self._generator.GetCapabilities(request, timeout=CAPABILITIES_WAIT_SECONDS)
                self._capabilities = await answer(asked, "generator")
            except PortcullisError:
                self._capabilities_until = time.monotonic() + CAPABILITIES_WAIT_SECONDS
        return self._capabilities

    async def mark(self, request: provenance_pb2.MarkImageRequest) -> provenance_pb2.MarkImageResponse:
        """Signs, watermarks, registers."""
        return await answer(self._provenance.MarkImage(request, timeout=self._timeout), "provenance service")

    async def inspect(self, subject: checks_pb2.Subject, image: bytes) -> provenance_pb2.Inspection:
        """Asks whether a picture is ours; the answer may be passed on."""
        return (await self.find(subject, image)).inspection

    async def find(
        self, subject: checks_pb2.Subject, image: bytes
    ) -> provenance_pb2.ProvenanceServiceInspectImageResponse:
        """Asks whether a picture is ours, and which one, whoever's it is: for the house alone."""
        request = provenance_pb2.ProvenanceServiceInspectImageRequest(subject=subject, image=image)
        return await answer(self._provenance.InspectImage(request, timeout=self._timeout), "provenance service")

    async def clear_decision(self, subject: checks_pb2.Subject, decision_id: str) -> Sequence[review_pb2.ReleasedStop]:
        """Asks the review service what people released of a held decision."""
        request = review_pb2.ClearDecisionRequest(subject=subject, decision_id=decision_id)
        response = await answer(self._review.ClearDecision(request, timeout=self._timeout), "review service")
        return response.stops
