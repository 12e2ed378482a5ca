"""What a person released goes on through the front door, once; what nobody released does not."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import uuid4

import pytest

from demo.inputs import ALLOWED, harmless_photo
from portcullis import Client, PortcullisError
from portcullis.v1 import checks_pb2, gateway_pb2
from portcullis.v1.provenance_pb2 import Origin
from portcullis.v1.review_pb2 import ItemState, Resolution
from tests.e2e.conftest import POLICY

PORTCULLIS = Path(sys.executable).with_name("portcullis")
DOUBTFUL = "a blue square on an election poster"
RULE = """rules:
  - name: hold-what-was-drawn
    stages: [output]
    category: deception
    verdict: REVIEW
    message: Every picture is looked at.
    when: stage == "output"
"""


def within(seconds: float, condition: Callable[[], bool]) -> bool:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.2)
    return True


def held_by(events) -> tuple[str, list[str]]:
    """The decision and the cases of a call that was held."""
    events = list(events)
    return events[0].decision_id, [event.review_item_id for event in events if isinstance(event, gateway_pb2.Held)]


def pictures(events) -> list[gateway_pb2.Image]:
    return [event for event in events if isinstance(event, gateway_pb2.Image)]


@pytest.fixture
def release(desk, client) -> Callable[[str, list[str]], None]:
    """Has an analyst release the cases of a decision, and waits until it can go on."""

    def decide(decision: str, items: list[str]) -> None:
        for item in items:
            assert within(30, lambda item=item: is_queued(desk, item))
            claim = desk.claim_item(item, queue="")
            desk.decide_item(item, claim.claim_token, Resolution.RESOLUTION_RELEASE, "harmless")
        assert within(30, lambda: client.get_decision(decision).resumable)

    return decide


def is_queued(desk, item: str) -> bool:
    return any(waiting.item_id == item for waiting in desk.list_items(queue="", state=ItemState.ITEM_STATE_QUEUED))


def activate(house, client: Client, policy: str, path: Path) -> None:
    """Puts a policy in force, and waits until the image filter and the prompt filter judge by it."""
    path.write_text(policy, encoding="utf-8")
    told = subprocess.run(
        [PORTCULLIS, "policy", "activate", path], env=house.environment, capture_output=True, text=True, check=True
    )
    (policy_id,) = re.findall(r"[0-9a-f]{64}", told.stdout)
    photo = harmless_photo()
    assert within(20, lambda: client.check_upload(photo, account="policy").check.policy == policy_id)
    assert within(20, lambda: client.check_prompt(ALLOWED, account="policy").check.policy == policy_id)


@pytest.fixture
def outputs_are_held(house, client, tmp_path) -> Iterator[None]:
    activate(house, client, POLICY.replace("rules:\n", RULE, 1), tmp_path / "policy.yaml")
    yield
    activate(house, client, POLICY, tmp_path / "policy.yaml")


def test_a_held_prompt_is_released_and_its_picture_arrives_once(client, stranger, release):
    decision, items = held_by(client.create_images(DOUBTFUL, account="resumer", count=1, seed=3))
    with pytest.raises(PortcullisError) as too_early:
        list(client.resume_decision(decision))
    release(decision, items)
    with pytest.raises(PortcullisError) as foreign:
        list(stranger.resume_decision(decision))

    request_id = str(uuid4())
    events = list(client.resume_decision(decision, request_id=request_id))
    again = list(client.resume_decision(decision, request_id=request_id))
    with pytest.raises(PortcullisError) as too_late:
        list(client.resume_decision(decision))

    (picture,) = pictures(events)
    inspection = client.inspect_image(picture.data)
    assert (inspection.origin, picture.seed) == (Origin.ORIGIN_OURS_INTACT, 3)
    assert inspection.decision_id == events[0].decision_id != decision
    assert pictures(again) == [picture]
    reasons = [(caught.value.code, caught.value.reason) for caught in (too_early, foreign, too_late)]
    assert reasons == [
        ("FAILED_PRECONDITION", "NOT_RELEASED"),
        ("NOT_FOUND", "DECISION_UNKNOWN"),
        ("FAILED_PRECONDITION", "ALREADY_RESUMED"),
    ]


def test_held_outputs_arrive_as_they_were_drawn(client, release, outputs_are_held):
    decision, items = held_by(client.create_images(ALLOWED, account="resumer", count=2, seed=11))
    release(decision, items)

    events = list(client.resume_decision(decision))

    assert [(image.index, image.seed) for image in pictures(events)] == [(0, 11), (1, 12)]
    stages = {event.stage for event in events if isinstance(event, gateway_pb2.Progress)}
    assert stages == {"check", "mark"}
    origins = {client.inspect_image(image.data).origin for image in pictures(events)}
    assert origins == {Origin.ORIGIN_OURS_INTACT}


def test_of_many_that_resume_at_once_one_gets_the_picture(client, release):
    decision, items = held_by(client.create_images(DOUBTFUL, account="resumer", count=1))
    release(decision, items)

    def resume(_: int) -> int | str:
        try:
            return len(pictures(client.resume_decision(decision)))
        except PortcullisError as error:
            return error.code

    with ThreadPoolExecutor(4) as callers:
        ends = list(callers.map(resume, range(4)))

    assert sorted(end for end in ends if isinstance(end, int)) == [1]
    assert {end for end in ends if isinstance(end, str)} <= {"ABORTED", "FAILED_PRECONDITION"}


def test_a_refusal_can_be_appealed_and_not_resumed(client):
    events = list(client.create_images("a politician giving a speech to voters", account="resumer"))
    with pytest.raises(PortcullisError) as caught:
        list(client.resume_decision(events[0].decision_id))
    refused = events[-1]
    assert (refused.verdict, refused.appealable) == (checks_pb2.VERDICT_BLOCK, True)
    assert caught.value.reason == "NOT_HELD"
