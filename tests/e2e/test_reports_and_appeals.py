"""A reported picture is withdrawn everywhere, a wrong refusal set right: each one story from front door to desk."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from uuid import uuid4

import pytest

from demo.inputs import ALLOWED, DOUBTFUL, doubtful_photo, mask_of
from portcullis import PortcullisError, ReviewClient
from portcullis.v1 import gateway_pb2 as api
from portcullis.v1.provenance_pb2 import Inspection
from portcullis.v1.review_pb2 import ItemState, Resolution
from services.core.rpc import tls

PATIENCE_SECONDS = 60.0


@pytest.fixture(scope="module")
def seniors(house) -> Iterator[list[ReviewClient]]:
    """Three people who may decide appeals."""
    desks = []
    for identity in ("senior/bob", "senior/cora", "senior/dan"):
        tls.issue_certificate(house.home / "tls", identity)
        certificate = tls.certificate_path(house.home / "tls", identity)
        keys = {"analyst_cert": certificate, "analyst_key": certificate.with_suffix(".key")}
        desks.append(ReviewClient(house.profile.model_copy(update=keys)))
    yield desks
    for desk in desks:
        desk.__exit__()


def until(true: Callable[[], object]) -> None:
    """Waits for what the relay and the worker do meanwhile."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not true():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.2)


def decide(people: list[ReviewClient], item_id: str, resolution: Resolution.ValueType) -> None:
    """One person decides, and another where a second look is due."""
    for desk in people:
        until(lambda desk=desk: can_claim(desk, item_id))
        claimed = desk.claim_item(item_id, queue="")
        decided = desk.decide_item(item_id, claimed.claim_token, resolution, "")
        if decided.state == ItemState.ITEM_STATE_DECIDED:
            return


def can_claim(desk: ReviewClient, item_id: str) -> bool:
    try:
        claimed = desk.claim_item(item_id, queue="")
    except PortcullisError as error:
        if error.reason in ("ITEM_PENDING", "ITEM_CLAIMED"):
            return False
        raise
    desk.release_claim(item_id, claimed.claim_token, "")
    return True


def refused(call: Callable[[], object]) -> tuple[str, str]:
    with pytest.raises(PortcullisError) as caught:
        call()
    return caught.value.code, caught.value.reason


def item_of(client, decision_id: str) -> str:
    """The latest case of a decision."""
    return client.get_decision(decision_id).review_item_ids[-1]


def test_a_reported_picture_is_withdrawn_everywhere(client, seniors):
    request_id = str(uuid4())
    make = {"account": "story", "count": 1, "seed": 3, "request_id": request_id}
    events = list(client.create_images(ALLOWED, **make))
    decision_id = events[0].decision_id
    (picture,) = (event.data for event in events if isinstance(event, api.Image))
    report = client.report_image(picture, reporter="5f2b", category="violence", statement="It frightens me.")
    assert report.report_id

    decide(seniors, item_of(client, decision_id), Resolution.RESOLUTION_UPHOLD)

    def inspected() -> Inspection:
        return client.inspect_image(picture)

    until(lambda: inspected().withdrawn)
    withdrawn = ("FAILED_PRECONDITION", "IMAGE_WITHDRAWN")
    assert refused(lambda: client.check_upload(picture, account="another")) == withdrawn
    assert refused(lambda: list(client.vary_images(picture, account="another", count=1))) == withdrawn
    assert refused(lambda: list(client.create_images(ALLOWED, **make))) == withdrawn
    assert [image.withdrawn for image in client.get_decision(decision_id).images] == [True]


def test_a_wrong_refusal_is_set_right_by_another_person(client, desk, seniors):
    photo = doubtful_photo()
    events = list(client.edit_images(DOUBTFUL, photo, mask_of(photo), account="wronged", count=1))
    decision_id, first = events[0].decision_id, item_of(client, events[0].decision_id)
    decide([desk, seniors[2]], first, Resolution.RESOLUTION_UPHOLD)
    until(lambda: can_appeal(client, decision_id))

    appeal = item_of(client, decision_id)
    until(lambda: refused(lambda: desk.claim_item(appeal, queue=""))[1] != "ITEM_PENDING")
    assert refused(lambda: client.appeal_decision(decision_id, account="wronged"))[1] == "APPEALED_BEFORE"
    assert refused(lambda: desk.claim_item(appeal, queue=""))[1] in ("ITEM_JUDGED", "ROLE_NEEDED")

    decide(seniors, appeal, Resolution.RESOLUTION_RELEASE)

    until(lambda: client.get_decision(decision_id).appeal.state == api.APPEAL_STATE_GRANTED)
    assert client.get_decision(decision_id).appeal.notice.startswith("You were right")


def can_appeal(client, decision_id: str) -> bool:
    """Appeals once the refusal can no longer be taken back."""
    try:
        client.appeal_decision(decision_id, account="wronged", statement="It is a cup.")
    except PortcullisError as error:
        if error.reason == "NOTHING_TO_APPEAL":
            return False
        raise
    return True
