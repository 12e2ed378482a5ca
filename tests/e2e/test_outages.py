"""Parts of the house stop or die: nothing unchecked leaves, and the supervisor brings them back."""

from __future__ import annotations

import os
import signal
import time
from contextlib import contextmanager

import pytest

from demo.inputs import ALLOWED
from portcullis import PortcullisError
from portcullis.v1 import gateway_pb2

RESTART_SECONDS = 60.0


@contextmanager
def stopped(pid: int):
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def eventually_answers(client, prompt: str) -> bool:
    deadline = time.monotonic() + RESTART_SECONDS
    while time.monotonic() < deadline:
        try:
            client.check_prompt(prompt, account="a")
        except PortcullisError as error:
            if error.code != "UNAVAILABLE":
                raise
            time.sleep(0.5)
        else:
            return True
    return False


def draw(client) -> tuple[list[bytes], PortcullisError | None]:
    """The pictures that left, and what went wrong."""
    pictures: list[bytes] = []
    try:
        for event in client.create_images(ALLOWED, account="a", count=1, seed=3):
            if isinstance(event, gateway_pb2.Image):
                pictures.append(event.data)
    except PortcullisError as error:
        return pictures, error
    return pictures, None


def eventually_draws(client) -> bool:
    deadline = time.monotonic() + RESTART_SECONDS
    while time.monotonic() < deadline:
        pictures, error = draw(client)
        if error is None:
            return len(pictures) == 1
        assert (error.code, pictures) == ("UNAVAILABLE", [])
        time.sleep(0.5)
    return False


def test_while_the_image_filter_hangs_no_picture_leaves(client, pid_of, row_counts):
    before = row_counts("images")
    with stopped(pid_of("image_filter")):
        pictures, error = draw(client)
    assert error is not None
    assert error.code == "UNAVAILABLE"
    assert error.retry_after is not None
    assert pictures == []
    assert row_counts("images") == before


def test_when_the_image_filter_dies_no_picture_leaves_until_it_is_back(client, pid_of):
    os.kill(pid_of("image_filter"), signal.SIGKILL)
    pictures, error = draw(client)
    assert error is not None
    assert error.code == "UNAVAILABLE"
    assert pictures == []
    assert eventually_draws(client)


def test_a_killed_room_refuses_at_once_and_comes_back(client, pid_of):
    first = pid_of("prompt_filter")
    os.kill(first, signal.SIGKILL)
    with pytest.raises(PortcullisError) as caught:
        client.check_prompt("a harbour in the fog", account="a")
    assert caught.value.code == "UNAVAILABLE"
    assert eventually_answers(client, "a harbour in the fog")
    assert pid_of("prompt_filter") != first


def test_a_killed_gateway_comes_back(client, pid_of):
    os.kill(pid_of("gateway"), signal.SIGKILL)
    assert eventually_answers(client, "a harbour in the rain")


def postmaster(house) -> str:
    """The process of Postgres itself, which outlives its killed supervisor for a moment; empty where there is none."""
    try:
        return (house.home / "postgres" / "data" / "postmaster.pid").read_text().partition("\n")[0]
    except FileNotFoundError:
        return ""


def test_a_killed_postgres_comes_back_with_everything_in_it(client, house, pid_of):
    decision = client.check_prompt("a harbour in the snow", account="a").decision_id
    first = postmaster(house)
    os.kill(pid_of("core.store.embedded"), signal.SIGKILL)
    deadline = time.monotonic() + RESTART_SECONDS
    while time.monotonic() < deadline and postmaster(house) in ("", first):
        time.sleep(0.2)
    assert postmaster(house) not in ("", first)
    assert eventually_answers(client, "a harbour in the sun")
    assert eventually_draws(client)
    assert client.get_decision(decision).decision_id == decision
