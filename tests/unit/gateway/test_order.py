"""Nothing malformed gets past the door, and the answer names the field."""

from __future__ import annotations

import math
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portcullis.v1 import checks_pb2 as pb
from portcullis.v1 import gateway_pb2 as api
from services.core.errors import InvalidInput
from services.gateway import order


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (api.CreateImagesRequest(prompt=""), "prompt"),
        (api.CreateImagesRequest(prompt=" \n\t"), "prompt"),
        (api.CreateImagesRequest(prompt="x" * 4_001), "prompt"),
        (api.CreateImagesRequest(prompt="a cat", count=5), "count"),
        (api.CreateImagesRequest(prompt="a cat", steps=10_000), "steps"),
        (api.CreateImagesRequest(prompt="a cat", guidance=math.nan), "guidance"),
        (api.CreateImagesRequest(prompt="a cat", guidance=math.inf), "guidance"),
        (api.CreateImagesRequest(prompt="a cat", guidance=0.9), "guidance"),
        (api.CreateImagesRequest(prompt="a cat", guidance=30.5), "guidance"),
        (api.CreateImagesRequest(prompt="a cat", seed=2**53), "seed"),
        (api.CreateImagesRequest(prompt="a cat", format=99), "format"),
    ],
)
def test_a_malformed_creation_is_refused_by_field(request_: api.CreateImagesRequest, field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        order.create(request_)
    assert caught.value.violation.field == field


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (api.EditImagesRequest(prompt="a cat", mask=b"m"), "image"),
        (api.EditImagesRequest(prompt="a cat", image=b"i"), "mask"),
        (api.EditImagesRequest(prompt="a cat", image=bytes(order.MAX_IMAGE_BYTES + 1), mask=b"m"), "image"),
        (api.EditImagesRequest(prompt="a cat", image=b"i", mask=b"m", count=4), "count"),
    ],
)
def test_a_malformed_edit_is_refused_by_field(request_: api.EditImagesRequest, field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        order.edit(request_)
    assert caught.value.violation.field == field


def test_what_is_left_out_gets_the_contracts_defaults() -> None:
    made = order.create(api.CreateImagesRequest(prompt="a cat"))
    assert (made.count, made.format, made.operation) == (4, pb.IMAGE_FORMAT_PNG, pb.OPERATION_CREATE)
    assert 0 <= made.seed < 2**32


def test_a_variation_defaults_to_three_pictures() -> None:
    assert order.vary(api.VaryImagesRequest(image=b"i")).count == 3


def test_seed_zero_is_a_seed() -> None:
    assert order.create(api.CreateImagesRequest(prompt="a cat", seed=0)).seed == 0


@given(st.text(max_size=200))
def test_an_account_is_printable_ascii_or_refused(text: str) -> None:
    fine = 1 <= len(text) <= 128 and all(" " <= character <= "~" for character in text)
    if fine:
        assert order.account(text) == text
    else:
        with pytest.raises(InvalidInput):
            order.account(text)


@given(st.uuids())
def test_a_uuid_is_a_request_id(value: UUID) -> None:
    assert order.request_id(str(value)) == value


@given(st.text(alphabet="ghijk-xyz ", max_size=60))
def test_anything_else_is_not_a_request_id(text: str) -> None:
    with pytest.raises(InvalidInput, match="request_id"):
        order.request_id(text)
