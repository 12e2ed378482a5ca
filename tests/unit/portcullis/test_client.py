"""The clients: what they send, what they make of answers and of failures. Sync and async say the same."""

from __future__ import annotations

from uuid import UUID

import pytest

from portcullis import AsyncClient, Client, FieldViolation, PortcullisError, Profile
from portcullis.v1 import checks_pb2, gateway_pb2, provenance_pb2

EVENTS = [
    gateway_pb2.Event(accepted=gateway_pb2.Accepted(decision_id="d")),
    gateway_pb2.Event(progress=gateway_pb2.Progress(stage="render", step=1, steps=2)),
    gateway_pb2.Event(image=gateway_pb2.Image(index=0, data=b"png")),
    gateway_pb2.Event(done=gateway_pb2.Done(images=1)),
]


def test_a_call_carries_the_key_a_deadline_and_a_fresh_request_id(profile, gateway):
    with Client(profile, deadline=7) as client:
        client.check_prompt("a harbour", account="user-1")
    assert gateway.metadata[0]["authorization"] == "Bearer pk_test"
    assert 0 < gateway.deadlines[0] < 7.5  # gRPC rounds up
    assert UUID(gateway.requests[0].request_id).version == 4


def test_the_caller_may_choose_the_request_id(profile, gateway):
    chosen = "99999999-2222-4333-8444-555555555555"
    with Client(profile) as client:
        client.check_prompt("a harbour", account="user-1", request_id=chosen)
    assert gateway.requests[0].request_id == chosen


def test_every_check_sends_its_content(profile, gateway):
    with Client(profile) as client:
        client.check_prompt("text", account="a")
        client.check_upload(b"image", account="a")
        client.check_pair("text", b"image", b"mask", account="a")
    sent = [(getattr(r, "prompt", ""), getattr(r, "image", b""), getattr(r, "mask", b"")) for r in gateway.requests]
    assert sent == [("text", b"", b""), ("", b"image", b""), ("text", b"image", b"mask")]


def test_creating_yields_events_as_their_own_types(profile, gateway):
    gateway.events = EVENTS
    with Client(profile) as client:
        events = list(client.create_images("a circle", account="a", count=1, seed=7, size=64, steps=2))
    assert [type(event) for event in events] == [
        gateway_pb2.Accepted,
        gateway_pb2.Progress,
        gateway_pb2.Image,
        gateway_pb2.Done,
    ]
    request = gateway.requests[0]
    assert (request.count, request.seed, request.size, request.steps) == (1, 7, 64, 2)


def test_no_seed_leaves_the_choice_to_the_house(profile, gateway):
    with Client(profile) as client:
        list(client.create_images("a circle", account="a", seed=None))
    assert not gateway.requests[0].HasField("seed")


def test_an_event_of_a_newer_contract_is_passed_over(profile, gateway):
    gateway.events = [gateway_pb2.Event(), *EVENTS[-1:]]
    with Client(profile) as client:
        assert len(list(client.vary_images(b"image", account="a"))) == 1


def test_editing_sends_picture_and_mask(profile, gateway):
    with Client(profile) as client:
        list(client.edit_images("a star", b"image", b"mask", account="a", format=checks_pb2.IMAGE_FORMAT_WEBP))
    request = gateway.requests[0]
    assert (request.image, request.mask, request.format) == (b"image", b"mask", checks_pb2.IMAGE_FORMAT_WEBP)


def test_resuming_names_the_decision_under_an_id_of_its_own(profile, gateway):
    gateway.events = EVENTS
    with Client(profile) as client:
        events = list(client.resume_decision("d"))
    assert isinstance(events[-1], gateway_pb2.Done)
    assert gateway.requests[0].decision_id == "d"
    assert UUID(gateway.requests[0].request_id).version == 4


async def test_the_async_client_resumes_alike(profile, gateway):
    gateway.events = EVENTS
    async with AsyncClient(profile) as client:
        events = [event async for event in client.resume_decision("d", request_id="r")]
    assert isinstance(events[-1], gateway_pb2.Done)
    assert (gateway.requests[0].decision_id, gateway.requests[0].request_id) == ("d", "r")


def test_a_failure_says_why_and_when_to_try_again(profile, gateway, unavailable):
    gateway.failure = unavailable
    with Client(profile) as client, pytest.raises(PortcullisError) as caught:
        list(client.create_images("a circle", account="a"))
    assert (caught.value.code, caught.value.reason) == ("UNAVAILABLE", "IMAGE_FILTER_UNAVAILABLE")
    assert caught.value.retry_after == pytest.approx(2.5)


def test_a_bad_field_is_named(profile, gateway, invalid):
    gateway.failure = invalid
    with Client(profile) as client, pytest.raises(PortcullisError) as caught:
        client.check_prompt("", account="a")
    assert caught.value.violations == (FieldViolation("prompt", "is empty; 1 to 4,000 characters are allowed"),)


def test_a_house_that_is_not_there_is_unavailable(certificates):
    nowhere = Profile(address="127.0.0.1:1", api_key="pk_test", ca=certificates / "ca.pem")
    with Client(nowhere, deadline=2) as client, pytest.raises(PortcullisError) as caught:
        client.check_prompt("a harbour", account="a")
    assert caught.value.code == "UNAVAILABLE"


def test_a_server_of_another_house_gets_no_key(profile, gateway, tmp_path):
    from services.core.rpc import tls

    tls.create_ca(tmp_path)
    stranger = profile.model_copy(update={"ca": tmp_path / "ca.pem"})
    with Client(stranger, deadline=2) as client, pytest.raises(PortcullisError):
        client.check_prompt("a harbour", account="a")
    assert gateway.metadata == []


def test_reading_and_inspecting(profile, gateway):
    with Client(profile) as client:
        assert client.get_decision("d").decision_id == "d"
        assert client.inspect_image(b"png").origin == provenance_pb2.ORIGIN_OURS_INTACT


async def test_the_async_client_asks_alike(profile, gateway):
    gateway.events = EVENTS
    async with AsyncClient(profile, deadline=7) as client:
        answer = await client.check_pair("text", b"image", b"mask", account="a")
        events = [event async for event in client.create_images("a circle", account="a")]
    assert answer.verdict == checks_pb2.VERDICT_ALLOW
    assert isinstance(events[-1], gateway_pb2.Done)
    assert gateway.metadata[0]["authorization"] == "Bearer pk_test"
    assert 0 < gateway.deadlines[1] < 7.5  # gRPC rounds up


async def test_the_async_client_fails_alike(profile, gateway, unavailable):
    gateway.failure = unavailable
    async with AsyncClient(profile) as client:
        with pytest.raises(PortcullisError) as of_a_call:
            await client.check_prompt("a harbour", account="a")
        with pytest.raises(PortcullisError) as of_a_stream:
            [event async for event in client.edit_images("a star", b"i", b"m", account="a")]
    assert of_a_call.value.retry_after == of_a_stream.value.retry_after == pytest.approx(2.5)


async def test_both_clients_report_and_appeal_alike(profile, gateway):
    said = {"reporter": "5f2b", "category": "hate", "statement": "it is"}
    with Client(profile) as client:
        client.report_image(b"png", **said)
        client.appeal_decision("d", account="a", statement="a toy")
    async with AsyncClient(profile) as client:
        answer = await client.report_image(b"png", **said)
        appeal = await client.appeal_decision("d", account="a", statement="a toy")
    assert (answer.origin, appeal.state) == (provenance_pb2.ORIGIN_OURS_ALTERED, gateway_pb2.APPEAL_STATE_OPEN)
    ids = {request.request_id for request in gateway.requests}
    for request in gateway.requests:
        request.ClearField("request_id")
    assert len(ids) == 4
    assert gateway.requests[:2] == gateway.requests[2:]
