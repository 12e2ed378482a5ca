"""A revised prompt is judged like any other before it is drawn; where it is not allowed the user's own is drawn."""

from __future__ import annotations

from dataclasses import replace

import pytest
from prometheus_client import REGISTRY

from portcullis.v1 import checks_pb2 as pb
from portcullis.v1 import gateway_pb2
from portcullis.v1.generator_pb2 import RenderedImage
from services.core.errors import Unavailable
from services.core.policy.document import Policy, load_policy
from services.gateway.held import keep, pack, unpack
from services.gateway.journey import Journey, Revision
from services.gateway.stop import Stop
from tests.unit.gateway.scripted_rooms import ALLOW, BLOCK, HOLD, LOOK_LATER, ScriptedRooms, journey, kinds, travelled

ASKED, DRAWN = "a photo of a doctor", "a photo of a Black doctor"
FIGURE = pb.Check(
    verdict=pb.VERDICT_ALLOW, clearance="token", signals=[pb.Signal(category="public_figure.historical", score=0.2)]
)


class Rooms(ScriptedRooms):
    """Answers to the prompt that was asked as the others, and to the revised one as `revised` says."""

    def __init__(self, asked: pb.Check = ALLOW, revised: pb.Check | None = None) -> None:
        super().__init__(prompt=asked)
        self.revised = revised or pb.Check(verdict=pb.VERDICT_ALLOW, clearance="token of the revised")
        self.judged: list[str] = []
        self.policy = ""

    async def check_prompt(self, subject: pb.Subject, prompt: str, negative_prompt: str) -> pb.Check:
        self.judged.append(prompt)
        if prompt == DRAWN:
            return self.revised
        check = pb.Check(policy=self.policy)
        check.MergeFrom(await super().check_prompt(subject, prompt, negative_prompt))
        return check


class Outage(Rooms):
    """Cannot judge a second time."""

    async def check_prompt(self, subject: pb.Subject, prompt: str, negative_prompt: str) -> pb.Check:
        if prompt == DRAWN:
            raise Unavailable("the prompt filter does not answer")
        return await super().check_prompt(subject, prompt, negative_prompt)


def policy(mode: str = "enforce") -> Policy:
    rules = f"{{mode: {mode}, axes: [{{phrases: {{Black: 1.0}}}}]}}"
    return load_policy(f"name: test\ndefaults: {{review: 0.5, block: 0.8}}\ndiversity: {rules}\n", "test")


def on_its_way(rooms: Rooms, mode: str = "enforce", operation: pb.Operation.ValueType = pb.OPERATION_CREATE) -> Journey:
    begun = journey(rooms, operation)
    begun.order = replace(begun.order, prompt=ASKED)
    begun.policy = policy(mode)
    rooms.policy = begun.policy.id
    return begun


def counted(mode: str, outcome: str) -> float:
    return REGISTRY.get_sample_value("portcullis_revisions_total", {"mode": mode, "outcome": outcome}) or 0.0


def images(events: list[gateway_pb2.Event]) -> list[gateway_pb2.Image]:
    return [event.image for event in events if event.WhichOneof("kind") == "image"]


async def test_what_is_drawn_was_judged_and_is_told() -> None:
    rooms = Rooms()

    pictures = images(await travelled(on_its_way(rooms)))

    assert rooms.judged == [ASKED, DRAWN]
    assert rooms.rendering is not None
    assert (rooms.rendering.prompt, list(rooms.rendering.clearances)) == (DRAWN, ["token of the revised"])
    assert {(picture.revised_prompt, picture.revision_policy) for picture in pictures} == {(DRAWN, policy().id)}


@pytest.mark.parametrize(
    "rooms",
    [
        Rooms(revised=BLOCK),
        Rooms(revised=HOLD),
        Rooms(revised=LOOK_LATER),
        Rooms(revised=pb.Check(verdict=pb.VERDICT_ALLOW)),
        Rooms(revised=FIGURE),
        Outage(),
    ],
)
async def test_a_revised_prompt_that_is_not_allowed_harms_nobody(rooms: Rooms) -> None:
    before = counted("enforce", "kept")

    events = await travelled(on_its_way(rooms))

    assert rooms.rendering is not None
    assert (rooms.rendering.prompt, list(rooms.rendering.clearances)) == (ASKED, ["token"])
    assert kinds(events) == ["image"] * 4 + ["done"]
    assert {picture.revised_prompt for picture in images(events)} == {""}
    assert counted("enforce", "kept") == before + 1


@pytest.mark.parametrize("check", [LOOK_LATER, FIGURE, pb.Check(verdict=pb.VERDICT_ALLOW, clearance="t", policy="old")])
async def test_a_prompt_with_any_doubt_about_it_is_not_revised(check: pb.Check) -> None:
    rooms = Rooms(asked=check)

    await travelled(on_its_way(rooms))

    assert rooms.judged == [ASKED]


@pytest.mark.parametrize("operation", [pb.OPERATION_EDIT, pb.OPERATION_VARIATION])
async def test_only_what_is_created_is_revised(operation: pb.Operation.ValueType) -> None:
    rooms = Rooms()

    await travelled(on_its_way(rooms, operation=operation))

    assert DRAWN not in rooms.judged


async def test_a_model_of_few_words_gets_the_prompt_as_it_is() -> None:
    rooms = Rooms()
    rooms.any_words = False

    await travelled(on_its_way(rooms))

    assert rooms.judged == [ASKED]


async def test_in_shadow_it_is_judged_and_counted_alone() -> None:
    rooms, before = Rooms(), counted("shadow", "revised")

    pictures = images(await travelled(on_its_way(rooms, "shadow")))

    assert rooms.judged == [ASKED, DRAWN]
    assert rooms.rendering is not None
    assert rooms.rendering.prompt == ASKED
    assert {picture.revised_prompt for picture in pictures} == {""}
    assert counted("shadow", "revised") == before + 1


async def test_a_held_picture_remembers_what_it_was_drawn_from() -> None:
    rooms = Rooms()
    rooms.outputs = {1: HOLD}
    begun = on_its_way(rooms)
    await travelled(begun)

    kept = keep(begun, frozenset())

    assert kept is not None
    assert kept.order.prompt == ASKED
    assert kept.revision is not None
    assert unpack(pack(kept)).revision == begun.revision


async def test_what_was_held_tells_it_when_it_goes_on() -> None:
    rooms = Rooms()
    going = journey(rooms)
    going.revision = Revision(DRAWN, "", "policy")
    going.released = {(pb.STAGE_OUTPUT, 2): Stop(pb.STAGE_OUTPUT, LOOK_LATER, 2, image=b"held", released=True)}
    going.drawn = [RenderedImage(index=2)]

    (picture,) = images(await travelled(going))

    assert (picture.revised_prompt, picture.revision_policy) == (DRAWN, "policy")
    assert rooms.judged == [going.order.prompt]


async def test_a_person_is_shown_what_the_user_wrote() -> None:
    begun = on_its_way(Rooms())

    await travelled(begun)

    assert {stop.prompt for stop in begun.stops} == {ASKED}
