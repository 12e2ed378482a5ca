"""Keys are rotated while the house serves: no request fails, and what was made and kept before still counts."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest
from typer.testing import CliRunner

from demo.inputs import ALLOWED, DOUBTFUL, doubtful_photo, harmless_photo, mask_of
from portcullis import Client, PortcullisError
from portcullis.v1 import gateway_pb2 as api
from portcullis.v1 import provenance_pb2
from portcullis.v1.review_pb2 import ItemState
from services.commands import keys, provenance

FOLLOWED_SECONDS = 6.0  # a running provenance takes a new chain within five


@dataclass
class Traffic:
    """What steady callers saw: pictures with the moment when they came, checks that were answered, errors."""

    pictures: list[tuple[float, bytes]] = field(default_factory=list)
    checks: int = 0
    errors: list[str] = field(default_factory=list)


@contextmanager
def steady(client: Client) -> Iterator[Traffic]:
    """Pictures, and pairs whose halves were cleared by two filters, one after another, for the length of a block."""
    seen, over = Traffic(), threading.Event()
    photo = harmless_photo()
    mask = mask_of(photo)

    def draw() -> None:
        for event in client.create_images(ALLOWED, account="steady-1", count=1):
            if isinstance(event, api.Image):
                seen.pictures.append((time.monotonic(), event.data))

    def check() -> None:
        client.check_pair("make the sky pink", photo, mask, account="steady-2")
        seen.checks += 1

    def repeat(work: Callable[[], None]) -> None:
        while not over.is_set():
            try:
                work()
            except PortcullisError as error:
                seen.errors.append(str(error))

    callers = [threading.Thread(target=repeat, args=[work]) for work in (draw, check)]
    for caller in callers:
        caller.start()
    yield seen
    over.set()
    for caller in callers:
        caller.join()


def run(house, app, *arguments: str) -> None:
    told = CliRunner().invoke(app, list(arguments), env=house.environment)
    assert told.exit_code == 0, told.output


@pytest.fixture(scope="module")
def rotated(house, client, desk):
    """Everything rotated twice under steady calls, with a case from before."""
    photo = doubtful_photo()
    list(client.edit_images(DOUBTFUL, photo, mask_of(photo), account="rotation"))
    old_keys = {path.name: path.read_bytes() for path in (house.home / "keys" / "clearance").glob("*.pem")}
    begun = time.monotonic()
    with steady(client) as seen:
        while not seen.pictures:
            time.sleep(0.1)
        moments = []
        for _ in range(2):
            run(house, keys.app, "rotate", "clearances")
            run(house, keys.app, "rotate", "evidence")
            run(house, keys.app, "rotate", "sealed")
            run(house, provenance.app, "ca", "rotate")
            moments.append(time.monotonic())
            time.sleep(FOLLOWED_SECONDS)
    new_keys = {path.name: path.read_bytes() for path in (house.home / "keys" / "clearance").glob("*.pem")}
    assert all(old_keys[name] != new_keys[name] for name in old_keys)
    return seen, begun, moments


def test_no_request_failed(rotated):
    seen, _, moments = rotated
    assert seen.errors == []
    assert seen.checks >= 2
    assert any(at > moments[-1] for at, _ in seen.pictures), "pictures came after the last rotation"


def test_pictures_from_before_and_after_are_known_as_ours(client, rotated):
    seen, _, _ = rotated
    for _, picture in (seen.pictures[0], seen.pictures[-1]):
        assert client.inspect_image(picture).origin == provenance_pb2.ORIGIN_OURS_INTACT


def test_a_case_from_before_is_read(desk, rotated):
    item = next(
        item for item in desk.list_items(queue="", state=ItemState.ITEM_STATE_QUEUED) if item.account == "rotation"
    )
    claimed = desk.claim_item(item.item_id, queue="")
    desk.release_claim(item.item_id, claimed.claim_token, "")
    assert claimed.content.prompt == DOUBTFUL
