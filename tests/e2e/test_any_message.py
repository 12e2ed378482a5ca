"""Any message, well formed or not, to every method of every room of a whole house: refused or answered, never a fault.

`EXAMPLES` messages go to each method, with values that parsers, databases and models stumble over; `make fuzz` sends
more. A room that answered INTERNAL or UNKNOWN, or that stopped answering, did not see to what came in.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache

import grpc
import numpy as np
import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from portcullis.v1 import (
    combo_filter_pb2,
    gateway_pb2,
    generator_pb2,
    image_filter_pb2,
    prompt_filter_pb2,
    provenance_pb2,
    review_pb2,
)
from services.core.config import ROOMS
from services.core.imaging_png import write_png
from services.core.rpc import tls

EXAMPLES = int(os.environ.get("PORTCULLIS_TEST_MESSAGES", "4"))
SECONDS, WATCH_SECONDS = 10.0, 0.5
FILES = {
    "gateway": gateway_pb2,
    "prompt_filter": prompt_filter_pb2,
    "image_filter": image_filter_pb2,
    "combo_filter": combo_filter_pb2,
    "generator": generator_pb2,
    "provenance": provenance_pb2,
    "review": review_pb2,
}
FAULTS = {grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN, grpc.StatusCode.UNIMPLEMENTED}
ID = "7b1c0a52-0f5c-4f0e-9f4d-3f2d6a0f7a11"
ODD = ["\0", "a\0b", "x" * 5000, "'; --", "𝔞\u202e\u0301" * 40, "../../x"]
GOOD = {"_id": ID, "account": "user-1", "prompt": "a red circle", "tenant": "demo", "category": "spam", "reporter": "r"}
TEXTS = ["", "user-1", "demo", "a red circle", "spam", ID, *ODD]
PICTURE = write_png(np.full((40, 40, 3), 90, np.uint8))
BYTES = [b"", b"\0", bytes(32), PICTURE, PICTURE[:80], b"GIF89a" + bytes(40), b"\xff\xd8\xff" + bytes(200)]
NUMBERS = [0, 1, 2, 3, 8, 256, 2**31 - 1, -1, -(2**31)]
FLOATS = [0.0, 1.0, 7.5, -1.0, 1e38, float("nan"), float("inf")]


METHODS = {
    f"{room}.{method.name}": (room, method)
    for room, file in FILES.items()
    for service in file.DESCRIPTOR.services_by_name.values()
    for method in service.methods
}


@cache
def filled(kind: Descriptor) -> st.SearchStrategy[Message]:
    """Messages of a kind, each field left out or filled."""

    @st.composite
    def build(draw: st.DrawFn) -> Message:
        message = GetMessageClass(kind)()
        for field in kind.fields:
            if draw(st.integers(0, 6)) == 0:
                continue
            if field.is_repeated:
                values = draw(st.lists(value_of(field), max_size=3))
                if field.message_type is None:
                    getattr(message, field.name).extend(values)
                elif not field.message_type.GetOptions().map_entry:
                    for value in values:
                        getattr(message, field.name).add().CopyFrom(value)
            elif field.message_type is not None:
                getattr(message, field.name).CopyFrom(draw(value_of(field)))
            else:
                setattr(message, field.name, draw(value_of(field)))
        return message

    return build()


def value_of(field: FieldDescriptor) -> st.SearchStrategy[object]:
    """Values that a field can hold on the wire, such as it should hold among them."""
    match field.cpp_type:
        case FieldDescriptor.CPPTYPE_MESSAGE:
            return filled(field.message_type)
        case FieldDescriptor.CPPTYPE_STRING if field.type == FieldDescriptor.TYPE_BYTES:
            return st.one_of(st.just(PICTURE), st.sampled_from(BYTES), st.binary(max_size=40))
        case FieldDescriptor.CPPTYPE_STRING if field.name == "request_id":
            return st.one_of(*[st.uuids().map(str)] * 4, st.sampled_from(TEXTS))
        case FieldDescriptor.CPPTYPE_STRING:
            good = next((text for end, text in GOOD.items() if field.name.endswith(end)), "")
            return st.one_of(*[st.just(good)] * 4, st.sampled_from(TEXTS), st.text(max_size=20))
        case FieldDescriptor.CPPTYPE_BOOL:
            return st.booleans()
        case FieldDescriptor.CPPTYPE_FLOAT | FieldDescriptor.CPPTYPE_DOUBLE:
            return st.one_of(st.just(0.0), st.sampled_from(FLOATS))
        case FieldDescriptor.CPPTYPE_ENUM:
            return st.one_of(st.integers(0, 3), st.sampled_from([0, 4, 99, -1]))
        case FieldDescriptor.CPPTYPE_UINT32 | FieldDescriptor.CPPTYPE_UINT64:
            return st.one_of(st.integers(0, 3), st.sampled_from([number for number in NUMBERS if number >= 0]))
        case _:
            return st.one_of(st.integers(0, 3), st.sampled_from(NUMBERS))


@pytest.fixture(scope="module")
def connect(house) -> Iterator[Callable[[str, str], grpc.Channel]]:
    """The way to a room as somebody; at the gateway the key says who calls, and no certificate is asked for."""
    with ExitStack() as opened:

        @cache
        def channel(room: str, identity: str) -> grpc.Channel:
            credentials = tls.channel_credentials(house.home / "tls", identity)
            address = f"127.0.0.1:{house.port_base + ROOMS.index(room)}"
            return opened.enter_context(grpc.secure_channel(address, credentials))

        yield channel


def send(channel: grpc.Channel, method: MethodDescriptor, data: bytes, key: str) -> grpc.StatusCode:
    """What becomes of one message."""
    path = f"/{method.containing_service.full_name}/{method.name}"
    said = {"timeout": WATCH_SECONDS if method.name == "WatchItems" else SECONDS}
    said |= {"metadata": [("authorization", f"Bearer {key}")]}
    try:
        if method.server_streaming:
            for _ in channel.unary_stream(path)(data, **said):
                pass
        else:
            channel.unary_unary(path)(data, **said)
    except grpc.RpcError as error:
        return error.code()
    return grpc.StatusCode.OK


@pytest.mark.parametrize("name", METHODS)
def test_no_message_is_a_fault(house, connect, name: str) -> None:
    room, method = METHODS[name]
    channel, key = connect(room, caller_of(name)), house.profile.api_key

    @settings(max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(messages(method))
    def run(data: bytes) -> None:
        assert send(channel, method, data, key) not in FAULTS

    run()
    assert send(channel, method, b"", key) is not grpc.StatusCode.UNAVAILABLE, "the room still answers"


def messages(method: MethodDescriptor) -> st.SearchStrategy[bytes]:
    """Messages of the method's kind, and a few that are none."""
    good = filled(method.input_type).map(lambda message: message.SerializeToString())
    return st.one_of(*[good] * 6, st.binary(max_size=60))


def caller_of(name: str) -> str:
    """Somebody who may call a method."""
    others = {"prompt_filter.MeasureTexts": "image_filter", "provenance.WithdrawImage": "review"}
    return others.get(name, "analyst/demo" if name.startswith("review.") and "Clear" not in name else "gateway")
