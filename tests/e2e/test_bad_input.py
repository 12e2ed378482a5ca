"""Bad input gets a clear error and never a picture."""

from __future__ import annotations

import struct
import zlib
from io import BytesIO
from uuid import uuid4

import grpc
import pytest
from PIL import Image

from demo.inputs import face_photo
from portcullis import PortcullisError


def png_that_claims(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 64)) + chunk(b"IEND", b"")
    )


def animated_gif() -> bytes:
    frames = [Image.new("RGB", (32, 32), colour) for colour in ("red", "blue")]
    out = BytesIO()
    frames[0].save(out, "GIF", save_all=True, append_images=frames[1:])
    return out.getvalue()


BAD_IMAGES = {
    "empty": b"",
    "truncated": face_photo()[:5_000],
    "huge": png_that_claims(50_000, 50_000),
    "animated": animated_gif(),
    "svg": b'<svg xmlns="http://www.w3.org/2000/svg" width="64" height="64"/>',
    "polyglot": face_photo() + b"PK\x03\x04<script>alert(1)</script>",
    "text": b"not a picture at all",
}
BAD_PROMPTS = {"empty": "", "megabyte": "a" * 1_000_000, "control": "a \x07 bell", "blank": " \t\n"}


@pytest.mark.parametrize("name", BAD_IMAGES)
def test_a_bad_picture_is_named_as_such(client, name):
    with pytest.raises(PortcullisError) as caught:
        client.check_upload(BAD_IMAGES[name], account="a")
    assert caught.value.code == "INVALID_ARGUMENT"
    assert [violation.field for violation in caught.value.violations] == ["image"]


@pytest.mark.parametrize("name", BAD_PROMPTS)
def test_a_bad_prompt_is_named_as_such(client, name):
    with pytest.raises(PortcullisError) as caught:
        list(client.create_images(BAD_PROMPTS[name], account="a"))
    assert caught.value.code == "INVALID_ARGUMENT"
    assert [violation.field for violation in caught.value.violations] == ["prompt"]


@pytest.mark.parametrize("account", ["", "a" * 129, "täst", "new\nline"])
def test_a_bad_account_is_named_as_such(client, account):
    with pytest.raises(PortcullisError) as caught:
        client.check_prompt("a harbour", account=account)
    assert [violation.field for violation in caught.value.violations] == ["account"]


def test_a_bad_request_id_is_named_as_such(client):
    with pytest.raises(PortcullisError) as caught:
        client.check_prompt("a harbour", account="a", request_id="not-a-uuid")
    assert [violation.field for violation in caught.value.violations] == ["request_id"]


def test_invalid_utf8_on_the_wire_is_refused(house):
    credentials = grpc.composite_channel_credentials(
        grpc.ssl_channel_credentials(house.profile.ca.read_bytes()),
        grpc.access_token_call_credentials(house.profile.api_key),
    )
    request_id = str(uuid4()).encode()
    raw = b"\x0a" + bytes([len(request_id)]) + request_id + b"\x12\x01a" + b"\x1a\x02\xc3\x28"
    with grpc.secure_channel(house.profile.address, credentials) as channel, pytest.raises(grpc.RpcError) as caught:
        channel.unary_unary("/portcullis.v1.GatewayService/CheckPrompt")(raw, timeout=10)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "UTF-8" in caught.value.details()


def test_a_message_larger_than_any_request_is_refused_unread(house):
    credentials = grpc.composite_channel_credentials(
        grpc.ssl_channel_credentials(house.profile.ca.read_bytes()),
        grpc.access_token_call_credentials(house.profile.api_key),
    )
    unlimited = [("grpc.max_send_message_length", -1)]
    with (
        grpc.secure_channel(house.profile.address, credentials, unlimited) as channel,
        pytest.raises(grpc.RpcError) as caught,
    ):
        channel.unary_unary("/portcullis.v1.GatewayService/CheckUpload")(bytes(64 * 2**20), timeout=20)
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


def test_a_mask_of_another_size_is_named_as_such(client):
    mask = BytesIO()
    Image.new("L", (64, 64), 255).save(mask, "PNG")
    with pytest.raises(PortcullisError) as caught:
        client.check_pair("a green star", face_photo(), mask.getvalue(), account="a")
    assert caught.value.code == "INVALID_ARGUMENT"
