"""Who may come in, and whose answers they may read."""

from __future__ import annotations

from uuid import uuid4

import grpc
import pytest

from portcullis import Client, PortcullisError
from portcullis.v1 import gateway_pb2, gateway_pb2_grpc


def test_without_a_key_nobody_comes_in(house):
    tls = grpc.ssl_channel_credentials(house.profile.ca.read_bytes())
    with grpc.secure_channel(house.profile.address, tls) as channel, pytest.raises(grpc.RpcError) as caught:
        gateway_pb2_grpc.GatewayServiceStub(channel).CheckPrompt(gateway_pb2.CheckPromptRequest(), timeout=10)
    assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED


@pytest.mark.parametrize("key", ["pk_0123456789abcdef_wrong", "nonsense"])
def test_with_a_wrong_key_nobody_comes_in(house, key):
    with Client(house.profile.model_copy(update={"api_key": key})) as client, pytest.raises(PortcullisError) as caught:
        client.check_prompt("a harbour", account="a")
    assert caught.value.code == "UNAUTHENTICATED"


def test_another_tenants_decision_is_not_found(client, stranger):
    decision = client.check_prompt("a harbour at dawn", account="a").decision_id
    assert client.get_decision(decision).decision_id == decision
    with pytest.raises(PortcullisError) as caught:
        stranger.get_decision(decision)
    assert caught.value.code == "NOT_FOUND"


def test_a_platform_cannot_reach_the_desk(house):
    from portcullis.v1 import review_pb2, review_pb2_grpc

    tls = grpc.ssl_channel_credentials(house.profile.ca.read_bytes())
    with grpc.secure_channel(house.profile.review_address, tls) as channel, pytest.raises(grpc.RpcError) as caught:
        review_pb2_grpc.ReviewServiceStub(channel).ListItems(review_pb2.ListItemsRequest(), timeout=10)
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


def test_a_call_without_a_deadline_is_refused(house):
    credentials = grpc.composite_channel_credentials(
        grpc.ssl_channel_credentials(house.profile.ca.read_bytes()),
        grpc.access_token_call_credentials(house.profile.api_key),
    )
    request = gateway_pb2.CheckPromptRequest(request_id=str(uuid4()), account="a", prompt="a harbour")
    with grpc.secure_channel(house.profile.address, credentials) as channel, pytest.raises(grpc.RpcError) as caught:
        gateway_pb2_grpc.GatewayServiceStub(channel).CheckPrompt(request)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
