"""The same request id is answered once."""

from __future__ import annotations

from uuid import uuid4

import pytest

from demo.inputs import ALLOWED
from portcullis import PortcullisError
from portcullis.v1 import gateway_pb2


def pictures(events) -> list[bytes]:
    return [event.data for event in events if isinstance(event, gateway_pb2.Image)]


def test_asked_twice_it_draws_once_and_answers_the_same(client, row_counts):
    request_id = str(uuid4())
    first = pictures(client.create_images(ALLOWED, account="a", count=1, seed=3, request_id=request_id))
    drawn = row_counts("images")
    second = pictures(client.create_images(ALLOWED, account="a", count=1, seed=3, request_id=request_id))
    assert first == second
    assert len(first) == 1
    assert row_counts("images") == drawn


def test_the_same_id_for_something_else_is_refused(client):
    request_id = str(uuid4())
    client.check_prompt("a harbour", account="a", request_id=request_id)
    with pytest.raises(PortcullisError) as caught:
        client.check_prompt("a lighthouse", account="a", request_id=request_id)
    assert caught.value.code == "ALREADY_EXISTS"


def test_the_same_id_of_another_tenant_is_another_request(client, stranger):
    request_id = str(uuid4())
    ours = client.check_prompt("a harbour", account="a", request_id=request_id)
    theirs = stranger.check_prompt("a lighthouse", account="a", request_id=request_id)
    assert ours.decision_id != theirs.decision_id
