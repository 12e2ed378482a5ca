"""The checks of a request, each by the room whose it is."""

from __future__ import annotations

import asyncio

from portcullis.v1 import checks_pb2 as pb
from portcullis.v1 import combo_filter_pb2, image_filter_pb2
from portcullis.v1.provenance_pb2 import ProvenanceServiceInspectImageResponse as Found
from services.core.errors import FailedPrecondition
from services.gateway.rooms import Rooms
from services.gateway.stop import Stop


async def check_prompt(rooms: Rooms, subject: pb.Subject, prompt: str, negative_prompt: str) -> Stop:
    """Has the prompt filter judge a text, and what it shall not show."""
    check = await rooms.check_prompt(subject, prompt, negative_prompt)
    return Stop(pb.STAGE_PROMPT, check, prompt=prompt, negative_prompt=negative_prompt)


async def check_found(rooms: Rooms, subject: pb.Subject, image: bytes, mask: bytes) -> Stop:
    """Has the image filter judge an upload with its history; raises as `find_upload` does."""
    found = await find_upload(rooms, subject, image)
    return await check_upload(rooms, subject, image, mask, history(found))


async def find_upload(rooms: Rooms, subject: pb.Subject, image: bytes) -> Found:
    """Asks whether an upload is one of ours; raises FailedPrecondition where that was withdrawn, also for a copy."""
    found = await rooms.find(subject, image)
    if found.inspection.withdrawn:
        raise FailedPrecondition("this picture was withdrawn and may not be used again", reason="IMAGE_WITHDRAWN")
    return found


def history(found: Found) -> pb.Lineage:
    """How deep a picture of ours is, whoever's it is, and its ancestors where it is the caller's."""
    return pb.Lineage(depth=found.depth, ancestors=found.inspection.lineage.ancestors)


async def check_upload(rooms: Rooms, subject: pb.Subject, image: bytes, mask: bytes, lineage: pb.Lineage) -> Stop:
    """Has the image filter judge an upload with its mask, if any; the stop holds them as re-encoded."""
    unchecked = image_filter_pb2.UncheckedImage(image=image, mask=mask, lineage=lineage)
    request = image_filter_pb2.CheckImagesRequest(subject=subject, stage=pb.STAGE_UPLOAD, images=[unchecked])
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
    """Both halves of an edit, and the pair where both opened the gate; raises as `find_upload` does."""
    halves = await asyncio.gather(
        check_prompt(rooms, subject, prompt, negative_prompt), check_found(rooms, subject, image, mask)
    )
    if not all(half.open for half in halves):
        return list(halves)
    return [*halves, await check_pair(rooms, subject, pb.OPERATION_EDIT, *halves)]
