"""A request that was held goes on: what people released opens its gate, everything else is checked again."""

from __future__ import annotations

from typing import cast
from uuid import UUID

import pytest

from portcullis.v1 import checks_pb2 as pb
from portcullis.v1.generator_pb2 import RenderedImage
from services.core.errors import FailedPrecondition
from services.gateway.answer import last_events
from services.gateway.held import Kept, keep, pack, unpack
from services.gateway.journey import Journey
from services.gateway.rooms import Rooms
from services.gateway.stop import Stop
from tests.unit.gateway.scripted_rooms import BLOCK, HOLD, ScriptedRooms, journey, kinds, travelled

SEALS = frozenset({"self_harm"})
SEALED = pb.Check(verdict=pb.VERDICT_REVIEW, reasons=[pb.Reason(category="self_harm", verdict=pb.VERDICT_REVIEW)])
RELEASED = pb.Check(verdict=pb.VERDICT_REVIEW, clearance="review's token", signals=[pb.Signal(category="political")])


def released(stage: pb.Stage.ValueType, index: int = 0, **content: bytes) -> Stop:
    return Stop(stage, RELEASED, index, request_digest="d", released=True, **content)


def resumed(rooms: ScriptedRooms, operation: pb.Operation.ValueType, *stops: Stop) -> Journey:
    before = journey(rooms, operation)
    before.released = {(stop.stage, stop.index): stop for stop in stops}
    before.drawn = [RenderedImage(index=stop.index, seed=7) for stop in stops if stop.stage == pb.STAGE_OUTPUT]
    return before


async def held_by(rooms: ScriptedRooms, operation: pb.Operation.ValueType = pb.OPERATION_CREATE) -> Kept | None:
    on_its_way = journey(rooms, operation)
    await travelled(on_its_way)
    return keep(on_its_way, SEALS)


async def test_a_released_prompt_is_not_checked_again() -> None:
    rooms = ScriptedRooms(prompt=BLOCK)
    events = await travelled(resumed(rooms, pb.OPERATION_CREATE, released(pb.STAGE_PROMPT)))
    assert rooms.asked == ["generate", "output", *["mark"] * 4]
    assert kinds(events) == ["image"] * 4 + ["done"]


async def test_the_generator_gets_the_clearance_of_review() -> None:
    rooms = ScriptedRooms()
    await travelled(resumed(rooms, pb.OPERATION_CREATE, released(pb.STAGE_PROMPT)))
    assert rooms.rendering is not None
    assert list(rooms.rendering.clearances) == ["review's token"]


async def test_what_had_been_open_is_checked_again() -> None:
    rooms = ScriptedRooms(upload=BLOCK)
    events = await travelled(resumed(rooms, pb.OPERATION_EDIT, released(pb.STAGE_PROMPT)))
    assert rooms.asked == ["inspect", "upload"]
    assert [event.refused.stage for event in events] == [pb.STAGE_UPLOAD]


async def test_what_had_not_been_reached_is_checked() -> None:
    rooms = ScriptedRooms(pair=HOLD)
    events = await travelled(resumed(rooms, pb.OPERATION_EDIT, released(pb.STAGE_PROMPT)))
    assert rooms.asked == ["inspect", "upload", "pair"]
    assert kinds(events) == ["held"]


async def test_a_released_pair_does_not_open_for_halves_that_are_refused_now() -> None:
    rooms = ScriptedRooms(prompt=BLOCK)
    await travelled(resumed(rooms, pb.OPERATION_EDIT, released(pb.STAGE_PAIR)))
    assert sorted(rooms.asked) == ["inspect", "prompt", "upload"]


async def test_a_released_output_is_marked_as_it_was_and_not_drawn_again() -> None:
    rooms = ScriptedRooms()
    events = await travelled(resumed(rooms, pb.OPERATION_CREATE, released(pb.STAGE_OUTPUT, 2, image=b"held")))
    assert rooms.asked == ["prompt", "mark"]
    assert (events[0].image.index, events[0].image.data, events[0].image.seed) == (2, b"markedheld", 7)


async def test_a_released_output_stays_where_it_is_if_its_prompt_is_refused_now() -> None:
    rooms = ScriptedRooms(prompt=BLOCK)
    events = await travelled(resumed(rooms, pb.OPERATION_CREATE, released(pb.STAGE_OUTPUT, image=b"held")))
    assert "mark" not in rooms.asked
    assert kinds(events) == ["refused"]


async def test_an_upheld_output_is_told_as_refused() -> None:
    on_its_way = resumed(ScriptedRooms(), pb.OPERATION_CREATE, released(pb.STAGE_OUTPUT, 0, image=b"held"))
    on_its_way.upheld = [Stop(pb.STAGE_OUTPUT, BLOCK, 3)]
    events = await travelled(on_its_way)
    assert kinds(events) == ["image", "refused", "done"]
    assert (events[1].refused.index, events[2].done.refused) == (3, 1)


async def test_what_was_released_was_never_spurious() -> None:
    on_its_way = resumed(ScriptedRooms(), pb.OPERATION_CREATE, released(pb.STAGE_PROMPT))
    await travelled(on_its_way)
    assert on_its_way.spurious == []


async def test_a_held_prompt_keeps_its_order() -> None:
    kept = await held_by(ScriptedRooms(prompt=HOLD))
    assert kept is not None
    assert kept.order == journey(ScriptedRooms()).order


async def test_the_order_keeps_the_upload_as_it_was_sanitised() -> None:
    kept = await held_by(ScriptedRooms(pair=HOLD), pb.OPERATION_EDIT)
    assert kept is not None
    assert (kept.order.image, kept.order.mask) == (b"cleanupload", b"mask")


async def test_of_what_was_drawn_only_the_held_outputs_are_kept_without_their_pixels() -> None:
    rooms = ScriptedRooms()
    rooms.outputs = {1: HOLD, 2: BLOCK}
    kept = await held_by(rooms)
    assert kept is not None
    (image,) = map(RenderedImage.FromString, kept.drawn)
    assert (image.index, image.image) == (1, b"")


async def test_a_sealed_output_is_not_kept_beside_one_that_is_not() -> None:
    rooms = ScriptedRooms()
    rooms.outputs = {0: SEALED, 1: HOLD}
    kept = await held_by(rooms)
    assert kept is not None
    assert [RenderedImage.FromString(image).index for image in kept.drawn] == [1]


async def test_held_again_before_its_outputs_it_keeps_them() -> None:
    on_its_way = resumed(ScriptedRooms(prompt=HOLD), pb.OPERATION_CREATE, released(pb.STAGE_OUTPUT, 2, image=b"held"))
    await travelled(on_its_way)
    kept = keep(on_its_way, SEALS)
    assert kept is not None
    assert [RenderedImage.FromString(image).index for image in kept.drawn] == [2]


@pytest.mark.parametrize(
    ("rooms", "operation"),
    [
        (ScriptedRooms(), pb.OPERATION_CREATE),
        (ScriptedRooms(prompt=BLOCK), pb.OPERATION_CREATE),
        (ScriptedRooms(output=BLOCK), pb.OPERATION_CREATE),
        (ScriptedRooms(prompt=HOLD, upload=BLOCK), pb.OPERATION_EDIT),
        (ScriptedRooms(prompt=SEALED), pb.OPERATION_CREATE),
        (ScriptedRooms(prompt=HOLD, upload=SEALED), pb.OPERATION_EDIT),
        (ScriptedRooms(output=SEALED), pb.OPERATION_CREATE),
    ],
)
async def test_what_no_person_can_let_on_is_not_kept(rooms: ScriptedRooms, operation: pb.Operation.ValueType) -> None:
    assert await held_by(rooms, operation) is None


async def test_what_is_kept_is_read_back_as_it_was() -> None:
    kept = await held_by(ScriptedRooms(pair=HOLD), pb.OPERATION_EDIT)
    assert kept is not None
    assert unpack(pack(kept)) == kept


@pytest.mark.parametrize("data", [b"", b"{}", b'{"version": 2, "order": {}}'])
def test_what_another_version_kept_is_not_guessed_at(data: bytes) -> None:
    with pytest.raises(FailedPrecondition) as caught:
        unpack(data)
    assert caught.value.reason == "ORDER_UNREADABLE"


async def test_a_refusal_can_be_appealed_unless_it_is_sealed() -> None:
    order = journey(ScriptedRooms()).order
    on_its_way = Journey(cast("Rooms", ScriptedRooms(prompt=BLOCK)), pb.Subject(), "d", order, "")
    await travelled(on_its_way)
    (plain,), (sealed,) = last_events(on_its_way, {}), last_events(on_its_way, {0: UUID(int=1)})
    assert (plain.refused.appealable, sealed.refused.appealable) == (True, False)
