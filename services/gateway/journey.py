"""The way of one creating request: check, draw, screen, mark. Free of SQL; the rooms are handed in.

What comes out is a list of stops (one for each check) and of releases (pictures that may leave), for the record and
for the answer. Anything that fails on the way raises, and then nothing has left.

A request that was held goes the same way again. What people released of it is not checked again, and what was drawn of
it is not drawn again; everything else is, for clearances live minutes and the policy may have changed.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from time import perf_counter

from portcullis.v1 import checks_pb2 as pb
from portcullis.v1 import (
    gateway_pb2,
    generator_pb2,
    image_filter_pb2,
    provenance_pb2,
)
from services.core import telemetry
from services.core.clearance import digest
from services.core.errors import PortcullisError, Unavailable
from services.core.policy.document import Policy
from services.core.verdicts import ACCOUNT_HELD
from services.gateway.checks import check_pair, check_prompt, check_upload, find_upload, history
from services.gateway.diversity import revise
from services.gateway.order import Order
from services.gateway.rooms import Rooms
from services.gateway.stop import Stop


@dataclass(frozen=True, slots=True)
class Revision:
    """The text that is drawn in place of a prompt about unspecified people, its clearance, and by which policy (id)."""

    prompt: str
    clearance: str
    policy: str


Place = tuple[pb.Stage.ValueType, int]  # a stage, and the output where there are several


@dataclass(slots=True)
class Journey:
    """One request on its way.

    Of one that was held: `released` are the stops that people let through, by stage and output; `drawn` the outputs
    among them, without their pixels, which the stops hold; `upheld` the outputs that stay refused.
    `hold_for` is why nothing may leave that no person has looked at, whatever the checks say: the reason of the
    account's standing; empty where the checks decide. `policy` may have the prompt revised; None, and it is not.
    """

    rooms: Rooms
    subject: pb.Subject
    decision_id: str
    order: Order
    hold_for: str
    released: Mapping[Place, Stop] = field(default_factory=dict[Place, Stop])
    drawn: list[generator_pb2.RenderedImage] = field(default_factory=list[generator_pb2.RenderedImage])
    upheld: Sequence[Stop] = ()
    revision: Revision | None = None
    policy: Policy | None = None
    stops: list[Stop] = field(default_factory=list[Stop])
    releases: list[gateway_pb2.Image] = field(default_factory=list[gateway_pb2.Image])
    parents: list[str] = field(default_factory=list[str])
    timings: dict[str, float] = field(default_factory=dict[str, float])

    async def travel(self) -> AsyncGenerator[gateway_pb2.Progress, None]:
        """Goes the whole way, telling where it is; stops early where a check does not open the gate."""
        yield gateway_pb2.Progress(stage="check")
        with self._timed("check"):
            await self._check()
        if not self.open:
            return
        if self.drawn:
            self.stops.extend(self.released[pb.STAGE_OUTPUT, image.index] for image in self.drawn)
        else:
            self.revision = await self._revise()
            async with aclosing(self._draw()) as steps:
                async for progress in steps:
                    yield progress
        yield gateway_pb2.Progress(stage="mark")
        with self._timed("mark"):
            self.releases = await self._mark()

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

    @property
    def outcomes(self) -> list[str]:
        """What became of each output that was screened now: `released`, `held` or `refused`."""
        screened = [stop for stop in self.stops if stop.stage == pb.STAGE_OUTPUT and not stop.released]
        return ["released" if stop.open else "held" if stop.held else "refused" for stop in screened]

    async def _check(self) -> None:
        order, halves = self.order, list[Awaitable[Stop]]()
        if order.prompt:
            check = partial(check_prompt, self.rooms, self.subject, order.prompt, order.negative_prompt)
            halves.append(self._unless_released(pb.STAGE_PROMPT, check))
        if order.image:
            halves.append(self._check_upload(order.image, order.mask))
        self.stops.extend(await asyncio.gather(*halves))
        if self.open and order.operation == pb.OPERATION_EDIT:
            prompt, upload = self._stop(pb.STAGE_PROMPT), self._stop(pb.STAGE_UPLOAD)
            check = partial(check_pair, self.rooms, self.subject, order.operation, prompt, upload)
            self.stops.append(await self._unless_released(pb.STAGE_PAIR, check))

    async def _check_upload(self, image: bytes, mask: bytes) -> Stop:
        """Also what people let through must not have been withdrawn since."""
        found = await find_upload(self.rooms, self.subject, image)
        own = found.inspection.provenance.image_id
        self.parents = [own] if own else []
        check = partial(check_upload, self.rooms, self.subject, image, mask, history(found))
        return await self._unless_released(pb.STAGE_UPLOAD, check)

    async def _unless_released(self, stage: pb.Stage.ValueType, check: Callable[[], Awaitable[Stop]]) -> Stop:
        return self.released.get((stage, 0)) or await check()

    async def _revise(self) -> Revision | None:
        """What is drawn in place of the prompt, where the policy says so; None in any doubt, the filter's too."""
        policy, order = self.policy, self.order
        if policy is None or policy.document.diversity is None or order.operation != pb.OPERATION_CREATE:
            return None
        prompt = self._stop(pb.STAGE_PROMPT)
        # While another policy comes into force: the one that revises is the one that the decision names.
        if prompt.check.policy != policy.id or not prompt.names_nobody or not await self.rooms.takes_any_words():
            return None
        rules = policy.document.diversity
        text = revise(order.prompt, order.negative_prompt, rules, order.seed)
        if text is None:
            return None
        with self._timed("revise"):
            clearance = await self._second_clearance(text)
        telemetry.REVISIONS.labels(rules.mode, "revised" if clearance else "kept").inc()
        return Revision(text, clearance, policy.id) if clearance and rules.mode == "enforce" else None

    async def _second_clearance(self, text: str) -> str:
        """The filter's clearance of a text that is ours, not the user's; empty where there is any doubt of it."""
        try:
            stop = await check_prompt(self.rooms, self.subject, text, self.order.negative_prompt)
        except PortcullisError:
            return ""
        return stop.check.clearance if stop.names_nobody else ""

    async def _draw(self) -> AsyncGenerator[gateway_pb2.Progress, None]:
        """Renders, and has the image filter look at what came of it."""
        with self._timed("render"):
            async with aclosing(self.rooms.generate(self._rendering())) as events:
                async for event in events:
                    if event.WhichOneof("event") == "image":
                        self.drawn.append(event.image)
                    else:
                        yield _progress(event.progress)
        if sorted(image.index for image in self.drawn) != list(range(self.order.count)):
            raise Unavailable("the generator returned fewer pictures than asked", reason="GENERATOR_INCOMPLETE")
        yield gateway_pb2.Progress(stage="screen")
        with self._timed("screen"):
            screened = await self._screen()
        self.stops.extend(hold(stop, self.hold_for) if self.hold_for else stop for stop in screened)

    async def _screen(self) -> list[Stop]:
        """Has the image filter look at all outputs as one batch."""
        request = image_filter_pb2.CheckImagesRequest(
            subject=self.subject,
            stage=pb.STAGE_OUTPUT,
            images=[
                image_filter_pb2.UncheckedImage(image=image.image, request_digest=image.request_digest)
                for image in self.drawn
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
            for checked, image in zip(await self.rooms.check_images(request), self.drawn, strict=True)
        ]

    async def _mark(self) -> list[gateway_pb2.Image]:
        """Marks every output that may leave."""
        outputs = [stop for stop in self.stops if stop.stage == pb.STAGE_OUTPUT]
        screened = zip(outputs, self.drawn, strict=True)
        return list(await asyncio.gather(*(self._mark_one(stop, image) for stop, image in screened if stop.open)))

    async def _mark_one(self, stop: Stop, image: generator_pb2.RenderedImage) -> gateway_pb2.Image:
        parent = b"" if self.order.operation == pb.OPERATION_CREATE else self._stop(pb.STAGE_UPLOAD).image
        request = provenance_pb2.MarkImageRequest(
            subject=self.subject,
            image=stop.image,
            clearance=stop.check.clearance,
            request_digest=stop.request_digest,
            decision_id=self.decision_id,
            operation=self.order.operation,
            parents=self.parents,
            model=image.model,
            format=self.order.format,
            parent_image=parent,
            seed=image.seed,
            parameters=image.parameters,
        )
        marked = await self.rooms.mark(request)
        if marked.provenance.sha256 != digest(marked.image):
            raise Unavailable("a picture came back that the registry does not vouch for", reason="PROOF_MISSING")
        return gateway_pb2.Image(
            index=image.index,
            data=marked.image,
            format=self.order.format,
            seed=image.seed,
            provenance=marked.provenance,
            substitutions=image.substitutions,
            parameters=image.parameters,
            cut_words=image.cut_words,
            capability=image.capability,
            revised_prompt=self.revision.prompt if self.revision else "",
            revision_policy=self.revision.policy if self.revision else "",
        )

    def _rendering(self) -> generator_pb2.GenerateRequest:
        upload = None if self.order.operation == pb.OPERATION_CREATE else self._stop(pb.STAGE_UPLOAD)
        return generator_pb2.GenerateRequest(
            subject=self.subject,
            operation=self.order.operation,
            prompt=self.revision.prompt if self.revision else self.order.prompt,
            negative_prompt=self.order.negative_prompt,
            image=upload.image if upload else b"",
            mask=upload.mask if upload else b"",
            count=self.order.count,
            size=self.order.size,
            steps=self.order.steps,
            seed=self.order.seed,
            guidance=self.order.guidance,
            model=self.order.model,
            clearances=[self.revision.clearance] if self.revision else [stop.check.clearance for stop in self.stops],
        )

    def _stop(self, stage: pb.Stage.ValueType) -> Stop:
        return next(stop for stop in self.stops if stop.stage == stage)

    @contextmanager
    def _timed(self, step: str) -> Iterator[None]:
        started = perf_counter()
        yield
        seconds = perf_counter() - started
        self.timings[step] = seconds * 1000
        telemetry.STEP_SECONDS.labels(step).observe(seconds, telemetry.exemplar())


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


def _progress(progress: generator_pb2.RenderProgress) -> gateway_pb2.Progress:
    drawing = "decode" if progress.decoding else "render"
    return gateway_pb2.Progress(
        stage=drawing if progress.steps else "queue",
        queue_position=progress.queue_position,
        step=progress.step,
        steps=progress.steps,
    )
