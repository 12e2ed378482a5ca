"""The way of one creating request: check, generate, screen, mark. Free of SQL; the rooms are handed in.

What comes out is a list of stops (one for each check) and of releases (pictures that may leave), for the record and
for the answer. Anything that fails on the way raises, and then nothing has left.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from time import perf_counter

from portcullis.v1 import checks_pb2 as pb
from portcullis.v1 import (
    combo_filter_pb2,
    gateway_pb2,
    generator_pb2,
    image_filter_pb2,
    provenance_pb2,
)
from services.core.clearance import digest, prompt_digests
from services.core.errors import Unavailable
from services.core.verdicts import ACCOUNT_HELD
from services.gateway.order import Order
from services.gateway.rooms import Rooms


@dataclass(frozen=True, slots=True)
class Stop:
    """One check on the way, with the content that a person would need to judge it; `model` drew an output."""

    stage: pb.Stage.ValueType
    check: pb.Check
    index: int = 0
    prompt: str = ""
    negative_prompt: str = ""
    image: bytes = b""
    mask: bytes = b""
    request_digest: str = ""
    model: str = ""

    @property
    def digests(self) -> dict[str, str]:
        """What a clearance of this check binds, sha256 each."""
        pictures = {"image": self.image, "mask": self.mask}
        bound = {name: digest(data) for name, data in pictures.items() if data}
        if self.stage == pb.STAGE_OUTPUT:
            return {**bound, "request": self.request_digest}
        return prompt_digests(self.prompt, self.negative_prompt) | bound

    @property
    def open(self) -> bool:
        """Whether the content may go on: only a check that gave a clearance opens the gate."""
        return bool(self.check.clearance) and self.check.verdict in (pb.VERDICT_ALLOW, pb.VERDICT_REVIEW)

    @property
    def held(self) -> bool:
        """Whether a person may still let it through."""
        return not self.open and self.check.verdict == pb.VERDICT_REVIEW

    @property
    def for_account(self) -> bool:
        """Whether it is held for its account's standing alone."""
        return any(reason.rule == ACCOUNT_HELD for reason in self.check.reasons)


@dataclass(slots=True)
class Journey:
    """One request on its way.

    `hold_for` is why nothing may leave that no person has looked at, whatever the checks say: the reason of the
    account's standing; empty where the checks decide.
    """

    rooms: Rooms
    subject: pb.Subject
    decision_id: str
    order: Order
    hold_for: str
    stops: list[Stop] = field(default_factory=list[Stop])
    releases: list[gateway_pb2.Image] = field(default_factory=list[gateway_pb2.Image])
    parents: list[str] = field(default_factory=list[str])
    timings: dict[str, float] = field(default_factory=dict[str, float])

    async def travel(self) -> AsyncGenerator[gateway_pb2.Progress, None]:
        """Goes the whole way, telling where it is; stops early where a check does not open the gate."""
        yield gateway_pb2.Progress(stage="check")
        started = perf_counter()
        await self._check_halves()
        if self.open and self.order.operation == pb.OPERATION_EDIT:
            prompt, upload = self._stop(pb.STAGE_PROMPT), self._stop(pb.STAGE_UPLOAD)
            self.stops.append(await check_pair(self.rooms, self.subject, self.order.operation, prompt, upload))
        if self.open and self.order.image:
            self.parents = await self._parents()
        self.timings["check"] = (perf_counter() - started) * 1000
        if not self.open:
            return
        rendered: list[generator_pb2.RenderedImage] = []
        started = perf_counter()
        async with aclosing(self.rooms.generate(self._rendering())) as events:
            async for event in events:
                if event.WhichOneof("event") == "image":
                    rendered.append(event.image)
                else:
                    yield _progress(event.progress)
        self.timings["render"] = (perf_counter() - started) * 1000
        if sorted(image.index for image in rendered) != list(range(self.order.count)):
            raise Unavailable("the generator returned fewer pictures than asked", reason="GENERATOR_INCOMPLETE")
        yield gateway_pb2.Progress(stage="screen")
        started = perf_counter()
        screened = await self._screen(rendered)
        if self.hold_for:
            screened = [hold(stop, self.hold_for) for stop in screened]
        self.timings["screen"] = (perf_counter() - started) * 1000
        self.stops.extend(screened)
        yield gateway_pb2.Progress(stage="mark")
        started = perf_counter()
        released = (self._mark(stop, image) for stop, image in zip(screened, rendered, strict=True) if stop.open)
        self.releases = list(await asyncio.gather(*released))
        self.timings["mark"] = (perf_counter() - started) * 1000

    @property
    def open(self) -> bool:
        """Whether every check of the request itself (not of single outputs) opened the gate; no check, no opening."""
        checks = [stop for stop in self.stops if stop.stage != pb.STAGE_OUTPUT]
        return bool(checks) and all(stop.open for stop in checks)

    @property
    def spurious(self) -> list[str]:
        """The deciding category of each output that was held back though all that was asked for had been allowed."""
        checks = [stop.check.verdict for stop in self.stops if stop.stage != pb.STAGE_OUTPUT]
        if any(verdict != pb.VERDICT_ALLOW for verdict in checks):
            return []
        shut = [
            stop.check.reasons
            for stop in self.stops
            if stop.stage == pb.STAGE_OUTPUT and not stop.open and not stop.for_account
        ]
        return [reasons[0].category if reasons else "none" for reasons in shut]

    async def _check_halves(self) -> None:
        halves = []
        if self.order.prompt:
            halves.append(check_prompt(self.rooms, self.subject, self.order.prompt, self.order.negative_prompt))
        if self.order.image:
            halves.append(check_upload(self.rooms, self.subject, self.order.image, self.order.mask))
        self.stops.extend(await asyncio.gather(*halves))

    async def _parents(self) -> list[str]:
        """The image id of the upload, where it is one of this tenant's own."""
        inspection = await self.rooms.inspect(self.subject, self._stop(pb.STAGE_UPLOAD).image)
        return [inspection.provenance.image_id] if inspection.provenance.image_id else []

    async def _screen(self, rendered: Sequence[generator_pb2.RenderedImage]) -> list[Stop]:
        """Has the image filter look at all outputs as one batch."""
        request = image_filter_pb2.CheckImagesRequest(
            subject=self.subject,
            stage=pb.STAGE_OUTPUT,
            images=[
                image_filter_pb2.UncheckedImage(image=image.image, request_digest=image.request_digest)
                for image in rendered
            ],
        )
        return [
            Stop(
                pb.STAGE_OUTPUT,
                checked.check,
                image.index,
                prompt=self.order.prompt,
                negative_prompt=self.order.negative_prompt,
                image=checked.image,
                request_digest=image.request_digest,
                model=f"{image.model.name}/{image.model.version}",
            )
            for checked, image in zip(await self.rooms.check_images(request), rendered, strict=True)
        ]

    async def _mark(self, stop: Stop, image: generator_pb2.RenderedImage) -> gateway_pb2.Image:
        parent = b"" if self.order.operation == pb.OPERATION_CREATE else self._stop(pb.STAGE_UPLOAD).image
        request = provenance_pb2.MarkImageRequest(
            subject=self.subject,
            image=stop.image,
            clearance=stop.check.clearance,
            request_digest=image.request_digest,
            decision_id=self.decision_id,
            operation=self.order.operation,
            parents=self.parents,
            model=image.model,
            format=self.order.format,
            parent_image=parent,
        )
        marked = await self.rooms.mark(request)
        return gateway_pb2.Image(
            index=image.index,
            data=marked.image,
            format=self.order.format,
            seed=image.seed,
            provenance=marked.provenance,
            substitutions=image.substitutions,
        )

    def _rendering(self) -> generator_pb2.GenerateRequest:
        upload = None if self.order.operation == pb.OPERATION_CREATE else self._stop(pb.STAGE_UPLOAD)
        return generator_pb2.GenerateRequest(
            subject=self.subject,
            operation=self.order.operation,
            prompt=self.order.prompt,
            negative_prompt=self.order.negative_prompt,
            image=upload.image if upload else b"",
            mask=upload.mask if upload else b"",
            count=self.order.count,
            size=self.order.size,
            steps=self.order.steps,
            seed=self.order.seed,
            clearances=[stop.check.clearance for stop in self.stops],
        )

    def _stop(self, stage: pb.Stage.ValueType) -> Stop:
        return next(stop for stop in self.stops if stop.stage == stage)


def hold(stop: Stop, category: str) -> Stop:
    """The same stop waiting for a person, where it had opened the gate: without its clearance nothing marks it.

    `category` is why the account is held.
    """
    if not stop.open:
        return stop
    check = pb.Check()
    check.CopyFrom(stop.check)
    check.ClearField("clearance")
    check.verdict = pb.VERDICT_REVIEW
    check.reasons.append(
        pb.Reason(
            category=category,
            message="A person looks at everything that is made for this account.",
            score=1.0,
            rule=ACCOUNT_HELD,
            verdict=pb.VERDICT_REVIEW,
        )
    )
    return replace(stop, check=check)


async def check_prompt(rooms: Rooms, subject: pb.Subject, prompt: str, negative_prompt: str) -> Stop:
    """Has the prompt filter judge a text, and what it shall not show."""
    check = await rooms.check_prompt(subject, prompt, negative_prompt)
    return Stop(pb.STAGE_PROMPT, check, prompt=prompt, negative_prompt=negative_prompt)


async def check_upload(rooms: Rooms, subject: pb.Subject, image: bytes, mask: bytes) -> Stop:
    """Has the image filter judge an upload with its mask, if any; the stop holds them as re-encoded."""
    request = image_filter_pb2.CheckImagesRequest(
        subject=subject, stage=pb.STAGE_UPLOAD, images=[image_filter_pb2.UncheckedImage(image=image, mask=mask)]
    )
    (checked,) = await rooms.check_images(request)
    return Stop(pb.STAGE_UPLOAD, checked.check, image=checked.image, mask=checked.mask)


async def check_pair(
    rooms: Rooms, subject: pb.Subject, operation: pb.Operation.ValueType, prompt: Stop, upload: Stop
) -> Stop:
    """Has the combo filter judge two halves that were both cleared."""
    request = combo_filter_pb2.ComboFilterServiceCheckPairRequest(
        subject=subject,
        operation=operation,
        prompt=prompt.prompt,
        negative_prompt=prompt.negative_prompt,
        image=upload.image,
        mask=upload.mask,
        prompt_clearance=prompt.check.clearance,
        upload_clearance=upload.check.clearance,
        prompt_signals=prompt.check.signals,
        upload_signals=upload.check.signals,
    )
    check = await rooms.check_pair(request)
    return Stop(
        pb.STAGE_PAIR,
        check,
        prompt=prompt.prompt,
        negative_prompt=prompt.negative_prompt,
        image=upload.image,
        mask=upload.mask,
    )


async def check_both(
    rooms: Rooms, subject: pb.Subject, prompt: str, negative_prompt: str, image: bytes, mask: bytes
) -> list[Stop]:
    """Both halves of an edit, and the pair where both opened the gate."""
    halves = await asyncio.gather(
        check_prompt(rooms, subject, prompt, negative_prompt), check_upload(rooms, subject, image, mask)
    )
    if not all(half.open for half in halves):
        return list(halves)
    return [*halves, await check_pair(rooms, subject, pb.OPERATION_EDIT, *halves)]


def _progress(progress: generator_pb2.RenderProgress) -> gateway_pb2.Progress:
    return gateway_pb2.Progress(
        stage="render" if progress.steps else "queue",
        queue_position=progress.queue_position,
        step=progress.step,
        steps=progress.steps,
    )
