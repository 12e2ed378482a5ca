"""What a journey came to: its verdict, and the events that tell the caller."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from uuid import UUID

from portcullis.v1 import checks_pb2 as pb
from portcullis.v1 import gateway_pb2 as api
from services.core.rpc import convert
from services.core.verdicts import Verdict
from services.gateway.journey import Journey, Stop


def worst(checks: Iterable[pb.Check]) -> Verdict:
    """The most severe verdict; BLOCK where nothing was checked."""
    return max((convert.verdict(check.verdict) for check in checks), default=Verdict.BLOCK)


def public(check: pb.Check) -> pb.Check:
    """The check as a platform may see it: without the clearance, which is for the rooms alone."""
    shown = pb.Check()
    shown.CopyFrom(check)
    shown.ClearField("clearance")
    return shown


def last_events(journey: Journey, items: Mapping[int, UUID], seals: Set[str]) -> list[api.Event]:
    """The events that end the stream; `items` maps a stop's place in the journey to its review item.

    A request in which one of the categories `seals` was found cannot be appealed.
    """
    reasons = (reason for stop in journey.stops for reason in stop.check.reasons)
    appealable = not any(reason.category in seals for reason in reasons)
    closed = [_closed(stop, items.get(place), appealable) for place, stop in enumerate(journey.stops) if not stop.open]
    if not journey.open:
        return closed
    images = [api.Event(image=image) for image in sorted(journey.releases, key=lambda image: image.index)]
    done = api.Done(
        images=len(images),
        refused=len(closed),
        timings=[pb.Timing(step=step, milliseconds=ms) for step, ms in journey.timings.items()],
    )
    return [*images, *closed, api.Event(done=done)]


def _closed(stop: Stop, item: UUID | None, appealable: bool) -> api.Event:
    reasons: Sequence[pb.Reason] = stop.check.reasons
    if stop.held:
        return api.Event(held=api.Held(review_item_id=str(item), stage=stop.stage, reasons=reasons, index=stop.index))
    refused = api.Refused(
        stage=stop.stage, verdict=pb.VERDICT_BLOCK, reasons=reasons, index=stop.index, appealable=appealable
    )
    return api.Event(refused=refused)
