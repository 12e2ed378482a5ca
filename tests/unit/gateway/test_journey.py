"""The way of one request: every gate stops it, and nothing leaves past a closed one."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from types import SimpleNamespace
from typing import cast
from uuid import UUID

import pytest
from google.protobuf.message import Message
from prometheus_client import REGISTRY

from portcullis.v1 import (
    checks_pb2 as pb,
)
from portcullis.v1 import (
    gateway_pb2,
)
from services.core.errors import FailedPrecondition, Unavailable
from services.core.verdicts import Verdict
from services.gateway import answer
from services.gateway.accounts_desk import AccountsDesk
from services.gateway.appeals import AppealDesk
from services.gateway.case import Case, Outcome
from services.gateway.checks import check_both
from services.gateway.desk import Desk
from services.gateway.pressure import Pressure
from services.gateway.reports import ReportDesk
from services.gateway.rooms import Rooms
from services.gateway.servicer import GatewayServicer
from tests.unit.gateway.scripted_rooms import (
    ALLOW,
    ALLOW_WITHOUT_TOKEN,
    BLOCK,
    HOLD,
    LOOK_LATER,
    PARAMETERS,
    UNDECIDED,
    ScriptedRooms,
    journey,
    kinds,
    travelled,
)


async def test_an_allowed_prompt_goes_the_whole_way_its_outputs_screened_together() -> None:
    rooms = ScriptedRooms()
    events = await travelled(journey(rooms))
    assert rooms.asked == ["prompt", "generate", "output", *["mark"] * 4]
    assert kinds(events) == ["image"] * 4 + ["done"]


@pytest.mark.parametrize(
    ("check", "kind"),
    [
        (BLOCK, "refused"),
        (HOLD, "held"),
        (ALLOW_WITHOUT_TOKEN, "refused"),
        (UNDECIDED, "refused"),
        (pb.Check(), "refused"),
    ],
)
async def test_a_prompt_that_is_not_cleared_is_never_rendered(check: pb.Check, kind: str) -> None:
    rooms = ScriptedRooms(prompt=check)
    events = await travelled(journey(rooms))
    assert rooms.asked == ["prompt"]
    assert kinds(events) == [kind]


async def test_release_and_look_goes_on() -> None:
    events = await travelled(journey(ScriptedRooms(prompt=LOOK_LATER)))
    assert kinds(events)[-1] == "done"


async def test_a_pair_is_refused_though_each_half_is_allowed() -> None:
    rooms = ScriptedRooms(pair=BLOCK)
    events = await travelled(journey(rooms, pb.OPERATION_EDIT))
    assert "generate" not in rooms.asked
    assert [event.refused.stage for event in events] == [pb.STAGE_PAIR]


async def test_the_pair_is_not_asked_where_a_half_is_refused() -> None:
    rooms = ScriptedRooms(upload=BLOCK)
    events = await travelled(journey(rooms, pb.OPERATION_EDIT))
    assert sorted(rooms.asked) == ["inspect", "prompt", "upload"]
    assert [event.refused.stage for event in events] == [pb.STAGE_UPLOAD]


async def test_only_sanitised_bytes_go_on() -> None:
    rooms = ScriptedRooms()
    await travelled(journey(rooms, pb.OPERATION_EDIT))
    assert rooms.rendering is not None
    assert rooms.rendering.image == b"cleanupload"


async def test_one_bad_output_does_not_sink_the_others() -> None:
    rooms = ScriptedRooms()
    rooms.outputs = {2: BLOCK}
    events = await travelled(journey(rooms))
    assert [event.image.index for event in events[:3]] == [0, 1, 3]
    assert (events[3].refused.stage, events[3].refused.index) == (pb.STAGE_OUTPUT, 2)
    assert (events[4].done.images, events[4].done.refused) == (3, 1)


async def test_nothing_leaves_for_an_account_on_hold_that_no_person_has_looked_at() -> None:
    rooms = ScriptedRooms()
    rooms.outputs = {2: BLOCK}
    held = journey(rooms, hold_for="violence")

    events = await travelled(held)

    assert kinds(events) == ["held", "held", "refused", "held", "done"]
    assert "mark" not in rooms.asked
    assert [stop.check.clearance for stop in held.stops if stop.stage == pb.STAGE_OUTPUT] == [""] * 4
    assert [(reason.category, reason.rule) for reason in events[0].held.reasons] == [("violence", "account-held")]


async def test_what_is_held_for_the_account_is_not_spurious() -> None:
    rooms = ScriptedRooms()
    rooms.outputs = {2: BLOCK}
    held = journey(rooms, hold_for="violence")

    await travelled(held)

    assert held.spurious == ["hate"]


async def test_a_generator_that_returns_too_few_pictures_is_not_believed() -> None:
    rooms = ScriptedRooms()
    rooms.rendered = 3
    with pytest.raises(Unavailable):
        await travelled(journey(rooms))


async def test_the_answer_and_the_manifest_say_how_a_picture_was_made() -> None:
    rooms = ScriptedRooms()
    events = await travelled(journey(rooms))
    for index, marked in enumerate(rooms.marked):
        assert (marked.seed, marked.parameters) == (7 + index, PARAMETERS)
        assert (events[index].image.seed, events[index].image.parameters) == (7 + index, PARAMETERS)


async def test_progress_is_told_from_the_checks_to_the_mark() -> None:
    stages = [progress.stage async for progress in journey(ScriptedRooms()).travel()]
    assert stages == ["check", "queue", "render", "decode", "screen", "mark"]


async def test_a_variation_of_our_own_picture_names_its_parent() -> None:
    made = journey(ScriptedRooms(), pb.OPERATION_VARIATION)
    await travelled(made)
    assert made.parents == ["parent"]


def test_nothing_checked_counts_as_blocked() -> None:
    assert answer.worst([]) is Verdict.BLOCK


def test_a_platform_never_sees_a_clearance() -> None:
    assert answer.public(ALLOW).clearance == ""


def test_a_platform_never_sees_a_sketch() -> None:
    assert answer.public(pb.Check(sketch=b"near-duplicates share this")).sketch == b""


@pytest.mark.parametrize("operation", [pb.OPERATION_EDIT, pb.OPERATION_VARIATION])
async def test_nothing_is_made_of_a_picture_that_was_withdrawn(operation: pb.Operation.ValueType) -> None:
    rooms = ScriptedRooms()
    rooms.withdrawn = True

    with pytest.raises(FailedPrecondition) as caught:
        await travelled(journey(rooms, operation))

    assert caught.value.reason == "IMAGE_WITHDRAWN"
    assert "generate" not in rooms.asked


async def test_advice_on_a_pair_refuses_a_picture_that_was_withdrawn() -> None:
    rooms = ScriptedRooms()
    rooms.withdrawn = True

    with pytest.raises(FailedPrecondition) as caught:
        await check_both(cast("Rooms", rooms), pb.Subject(tenant="acme"), "a cat", "", b"upload", b"mask")

    assert caught.value.reason == "IMAGE_WITHDRAWN"


def test_nothing_checked_opens_nothing() -> None:
    assert not journey(ScriptedRooms()).open


async def test_outputs_that_an_allowed_request_did_not_deserve_are_spurious() -> None:
    rooms = ScriptedRooms()
    rooms.outputs = {1: BLOCK, 2: HOLD}
    on_its_way = journey(rooms)
    await travelled(on_its_way)
    assert on_its_way.spurious == ["hate", "political"]


async def test_what_was_in_doubt_before_has_no_spurious_outputs() -> None:
    rooms = ScriptedRooms(prompt=LOOK_LATER)
    rooms.outputs = {1: BLOCK}
    on_its_way = journey(rooms)
    await travelled(on_its_way)
    assert on_its_way.spurious == []


async def test_a_refused_request_has_no_spurious_outputs() -> None:
    on_its_way = journey(ScriptedRooms(prompt=BLOCK))
    await travelled(on_its_way)
    assert on_its_way.spurious == []


class Books:
    """Writes nothing down; the edge of a unit test."""

    seals = frozenset[str]()
    policy = None

    def __init__(self, lost: bool = False) -> None:
        self.lost = lost
        self.allowance = SimpleNamespace(running=contextlib.nullcontext)

    async def check_standing(self, case: Case) -> None:
        """Nobody is suspended."""

    async def record(self, case: Case, outcome: Outcome) -> Sequence[Message]:
        if self.lost:
            raise Unavailable("the store does not answer")
        return outcome.answer({})

    async def give_up(self, case: Case, failure: BaseException, *, rendered: bool = False) -> None: ...


SPURIOUS = ("portcullis_spurious_outputs_total", {"category": "hate"})
REFUSED = ("portcullis_outputs_total", {"outcome": "refused"})
PROVEN = ("portcullis_releases_total", {"proof": "registered"})
UNPROVEN = ("portcullis_releases_total", {"proof": "missing"})
Metric = tuple[str, dict[str, str]]


def value(metric: Metric) -> float:
    return REGISTRY.get_sample_value(*metric) or 0.0


async def counted(monkeypatch: pytest.MonkeyPatch, books: Books, *metrics: Metric) -> list[float]:
    """What a request for four pictures, of which the screen refuses one for `hate`, adds to metrics."""
    rooms = ScriptedRooms()
    rooms.outputs = {1: BLOCK}
    door = GatewayServicer(
        cast("Rooms", rooms),
        cast("Desk", books),
        cast("ReportDesk", None),
        cast("AppealDesk", None),
        cast("AccountsDesk", None),
        Pressure(64, 2.0),
    )
    case = Case(pb.Subject(tenant="acme"), UUID(int=1), UUID(int=2), 1)

    async def admit(_request: object, _use: object) -> Case:
        return case

    monkeypatch.setattr(door, "_admit", admit)
    before = [value(metric) for metric in metrics]
    with contextlib.suppress(Unavailable):
        async for _ in door._make(gateway_pb2.CreateImagesRequest(), journey(rooms).order):
            pass
    return [value(metric) - was for metric, was in zip(metrics, before, strict=True)]


async def test_outputs_are_counted_by_what_became_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    assert await counted(monkeypatch, Books(), SPURIOUS, REFUSED) == [1, 1]


async def test_a_picture_that_leaves_is_counted_with_its_proof(monkeypatch: pytest.MonkeyPatch) -> None:
    assert await counted(monkeypatch, Books(), PROVEN, UNPROVEN) == [3, 0]


async def test_nothing_is_counted_of_a_request_that_was_not_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    assert await counted(monkeypatch, Books(lost=True), SPURIOUS, REFUSED, PROVEN) == [0, 0, 0]


async def test_a_picture_for_other_bytes_than_these_the_registry_vouches_does_not_leave() -> None:
    rooms = ScriptedRooms()
    rooms.vouched = "ab" * 32
    with pytest.raises(Unavailable, match="does not vouch"):
        await travelled(journey(rooms))


async def test_the_image_filter_is_told_how_deep_an_upload_of_ours_is() -> None:
    rooms = ScriptedRooms()
    await travelled(journey(rooms, pb.OPERATION_VARIATION))
    assert rooms.lineage is not None
    assert rooms.lineage.depth == 2
