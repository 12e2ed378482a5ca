"""What a journey came to: its verdict, and the events that tell the caller."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from uuid import UUID

from portcullis.v1 import checks_pb2 as pb
from portcullis.v1 import gateway_pb2 as api
from services.core.clearance import digest
from services.core.rpc import convert
from services.core.verdicts import Verdict
from services.gateway.journey import Journey
from services.gateway.stop import Stop


def worst(checks: Iterable[pb.Check]) -> Verdict:
    """The most severe verdict; BLOCK where nothing was checked."""
    return max((convert.verdict(check.verdict) for check in checks), default=Verdict.BLOCK)


def public(check: pb.Check) -> pb.Check:
    """The check as a platform may see it: without clearance and sketch, which are for the rooms alone."""
    shown = pb.Check()
    shown.CopyFrom(check)
    shown.ClearField("clearance")
    shown.ClearField("sketch")
    return shown


def proven(image: api.Image) -> bool:
    """Whether the registry vouches for the very bytes that would leave."""
    return bool(image.provenance.image_id) and image.provenance.sha256 == digest(image.data)


def last_events(journey: Journey, items: Mapping[int, UUID]) -> list[api.Event]:
    """The events that end the stream; `items` maps a stop's place in the journey to its review item."""
    closed = [_closed(stop, items.get(place)) for place, stop in enumerate(journey.stops) if not stop.open]
    closed += [_refused(stop, appealable=False) for stop in journey.upheld]
    if not journey.open:
        return closed
    images = [api.Event(image=image) for image in sorted(journey.releases, key=lambda image: image.index)]
    done = api.Done(
        images=len(images),
        refused=len(closed),
        timings=[pb.Timing(step=step, milliseconds=ms) for step, ms in journey.timings.items()],
    )
    return [*images, *closed, api.Event(done=done)]


def _closed(stop: Stop, item: UUID | None) -> api.Event:
    if not stop.held:
        # A refusal with a case of its own is with people already: it is sealed.
        return _refused(stop, appealable=stop.check.verdict == pb.VERDICT_BLOCK and item is None)
    held = api.Held(review_item_id=str(item), stage=stop.stage, reasons=stop.check.reasons, index=stop.index)
    return api.Event(held=held)


def _refused(stop: Stop, *, appealable: bool) -> api.Event:
    refused = api.Refused(
        stage=stop.stage,
        verdict=pb.VERDICT_BLOCK,
        reasons=stop.check.reasons,
        index=stop.index,
        appealable=appealable,
    )
    return api.Event(refused=refused)
