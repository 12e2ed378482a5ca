"""Requests that are held: what each needs to go on is kept, and taken up again once people have released it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, ValidationError

from portcullis.v1 import checks_pb2 as pb
from portcullis.v1.generator_pb2 import RenderedImage
from portcullis.v1.review_pb2 import ReleasedStop
from services.core.errors import FailedPrecondition, NotFound
from services.core.evidence import EvidenceStore
from services.core.releases import released
from services.core.rpc import convert
from services.core.store import decisions, held_requests, review_items, stops
from services.core.store.database import Database
from services.core.store.held_requests import HeldRequest
from services.gateway.journey import Journey, Place, Revision
from services.gateway.order import Order
from services.gateway.stop import Stop


class Kept(BaseModel):
    """What was asked, its pictures as the image filter returned them; and what was drawn of it and is held.

    `drawn` are `RenderedImage` messages without their pixels, which are the evidence of their stops; `revision` is what
    they were drawn from, where that is not the order's prompt.
    """

    model_config = ConfigDict(frozen=True, ser_json_bytes="base64", val_json_bytes="base64")

    version: Literal[1] = 1
    order: Order
    drawn: tuple[bytes, ...] = ()
    revision: Revision | None = None


@dataclass(frozen=True, slots=True)
class Resumption:
    """A held request on its way again: what people released, and the outputs that they upheld.

    `pictures` are the evidence ids of the released outputs.
    """

    held: HeldRequest
    order: Order
    released: Mapping[Place, Stop]
    drawn: Sequence[RenderedImage]
    upheld: Sequence[Stop]
    pictures: Sequence[UUID]
    revision: Revision | None = None


class HeldRequests:
    """The gateway's shelf of held requests."""

    def __init__(self, database: Database, evidence: EvidenceStore) -> None:
        self._database = database
        self._evidence = evidence

    async def find(self, tenant: str, decision_id: UUID) -> HeldRequest:
        """The held request of a decision; raises NotFound, and FailedPrecondition where nothing of it is held."""
        async with self._database.transaction() as conn:
            held = await held_requests.get(conn, tenant, decision_id)
            if held is not None:
                return held
            if await decisions.get(conn, tenant, decision_id) is None:
                raise NotFound("no such decision, or not decided yet", reason="DECISION_UNKNOWN")
        raise FailedPrecondition("nothing of this decision waits for a release", reason="NOT_HELD")

    async def resumable(self, tenant: str, decision_id: UUID) -> bool:
        """Whether people have released it, all that it needs is there, and it was not resumed before."""
        async with self._database.transaction() as conn:
            held = await held_requests.get(conn, tenant, decision_id)
            if held is None or held.resumed_as is not None or not await held_requests.kept(conn, held):
                return False
            halted = await stops.held_in(conn, tenant, held.decisions)
            cases = await review_items.of_decisions(conn, tenant, held.decisions)
            try:
                return bool(released(halted, cases, await review_items.now(conn)))
            except FailedPrecondition:
                return False

    async def kept(self, held: HeldRequest) -> Kept:
        """What was asked of a held request; raises FailedPrecondition where that is gone."""
        try:
            return unpack(await asyncio.to_thread(self._evidence.get, held.order_evidence))
        except NotFound:
            raise FailedPrecondition("what was held has expired; ask again", reason="EVIDENCE_EXPIRED") from None

    async def take(self, held: HeldRequest, request_id: UUID) -> None:
        """Makes a running request the one that carries it on; raises as `held_requests.take`."""
        async with self._database.transaction() as conn:
            await held_requests.take(conn, held.tenant, held.decision_id, request_id)

    async def load(self, held: HeldRequest, cleared: Sequence[ReleasedStop]) -> Resumption:
        """What it needs to go on, with the clearances that the review service gave.

        Raises FailedPrecondition where that is gone, or was written by another version of the house.
        """
        async with self._database.transaction() as conn:
            halted = await stops.held_in(conn, held.tenant, held.decisions)
        try:
            return await asyncio.to_thread(self._load, held, halted, cleared)
        except NotFound:
            raise FailedPrecondition("what was held has expired; ask again", reason="EVIDENCE_EXPIRED") from None

    def _load(self, held: HeldRequest, halted: Sequence[stops.Stop], cleared: Sequence[ReleasedStop]) -> Resumption:
        kept = unpack(self._evidence.get(held.order_evidence))
        drawn = {image.index: image for image in map(RenderedImage.FromString, kept.drawn)}
        tokens = {(one.stage, one.index): one.clearance for one in cleared}
        released: dict[Place, Stop] = {}
        upheld: list[Stop] = []
        pictures: list[UUID] = []
        for stop in halted:
            place = (convert.STAGE_NUMBERS[stop.stage], stop.output)
            if stop.stage == "output" and stop.output not in drawn:
                continue
            if place not in tokens:
                upheld.append(_stop(stop, kept.order, b"", ""))
            elif stop.stage == "output" and stop.image is not None:
                released[place] = _stop(stop, kept.order, self._evidence.get(stop.image), tokens[place])
                pictures.append(stop.image)
            else:
                released[place] = _stop(stop, kept.order, kept.order.image, tokens[place])
        going = [image for index, image in drawn.items() if (pb.STAGE_OUTPUT, index) in released]
        if drawn and not going:
            raise FailedPrecondition("a person looked at these pictures and they stay refused", reason="UPHELD")
        return Resumption(held, kept.order, released, going, upheld, pictures, kept.revision)


def keep(journey: Journey, seals: frozenset[str]) -> Kept | None:
    """What a journey needs to go on; None where it does not wait for people.

    What is sealed does not go on either: its evidence is encrypted to a key that the gateway must not hold.
    """
    own = [stop for stop in journey.stops if stop.stage != pb.STAGE_OUTPUT]
    held = [stop for stop in journey.stops if stop.held and not stop.touches(seals)]
    if not held or not all(stop.open or stop in held for stop in own):
        return None
    upload = next((stop for stop in own if stop.stage == pb.STAGE_UPLOAD), None)
    order = replace(journey.order, image=upload.image, mask=upload.mask) if upload else journey.order
    waiting = {stop.index for stop in held if stop.stage == pb.STAGE_OUTPUT}
    # Held before its outputs came up (again), it still has all that had been drawn of it.
    drawn = [image for image in journey.drawn if image.index in waiting or not journey.open]
    return Kept(order=order, drawn=tuple(map(_without_pixels, drawn)), revision=journey.revision)


def pack(kept: Kept) -> bytes:
    """The evidence of kind "order"."""
    return kept.model_dump_json().encode()


def unpack(data: bytes) -> Kept:
    """What `pack` packed; raises FailedPrecondition for what another version of the house wrote."""
    try:
        return Kept.model_validate_json(data)
    except ValidationError:
        raise FailedPrecondition(
            "what was held was kept by another version of this house; ask again", reason="ORDER_UNREADABLE"
        ) from None


def row(
    decision_id: UUID,
    subject: pb.Subject,
    order_evidence: UUID,
    stopped: Sequence[stops.Stop],
    resumes: Resumption | None,
    life: timedelta,
) -> HeldRequest:
    """The row of a request that is held, perhaps again."""
    pictures = [stop.image for stop in stopped if stop.stage == "output" and stop.held and stop.image]
    earlier = resumes.pictures if resumes else ()
    return HeldRequest(
        decision_id=decision_id,
        tenant=subject.tenant,
        account=subject.account,
        carried=resumes.held.decisions if resumes else [],
        order_evidence=order_evidence,
        evidence=[order_evidence, *pictures, *earlier],
        evidence_life=life,
    )


def _without_pixels(image: RenderedImage) -> bytes:
    bare = RenderedImage()
    bare.CopyFrom(image)
    bare.ClearField("image")
    return bare.SerializeToString()


def _stop(stop: stops.Stop, order: Order, picture: bytes, clearance: str) -> Stop:
    """A held stop with what people made of it: open with a clearance, else refused for good."""
    check = pb.Check(
        verdict=pb.VERDICT_REVIEW if clearance else pb.VERDICT_BLOCK,
        reasons=[convert.reason_to_proto(reason) for reason in stop.reasons],
        signals=[convert.signal_to_proto(signal) for signal in stop.signals],
        clearance=clearance,
        policy=stop.policy,
        models=[convert.model_to_proto(model) for model in stop.models],
        sketch=stop.sketch,
    )
    text = stop.stage != "upload"
    return Stop(
        convert.STAGE_NUMBERS[stop.stage],
        check,
        stop.output,
        prompt=order.prompt if text else "",
        negative_prompt=order.negative_prompt if text else "",
        image=picture if stop.stage != "prompt" else b"",
        mask=order.mask if stop.stage in ("upload", "pair") else b"",
        request_digest=stop.digests.get("request", ""),
        released=bool(clearance),
    )
