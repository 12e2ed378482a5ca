"""What a platform says of an account is within bounds, or refused with the field's name."""

from __future__ import annotations

import pytest

from portcullis.v1.gateway_pb2 import UpdateAccountRequest
from services.core.errors import InvalidInput
from services.gateway.account_order import change

ID = "7b1c0a52-0f5c-4f0e-9f4d-3f2d6a0f7a11"


def asked(**what: object) -> UpdateAccountRequest:
    return UpdateAccountRequest(**{"request_id": ID, "account": "user-1", **what})


@pytest.mark.parametrize(
    ("what", "field"),
    [
        ({"add_credits": 1_000_001}, "add_credits"),
        ({"shared_hashes": [bytes(32)] * 17}, "shared_hashes"),
        ({"shared_hashes": [bytes(32), bytes(15)]}, "shared_hashes[1]"),
        ({"shared_hashes": [bytes(65)]}, "shared_hashes[0]"),
        ({"account": "ü"}, "account"),
        ({"request_id": "1"}, "request_id"),
    ],
)
def test_what_is_out_of_bounds_is_named(what: dict[str, object], field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        change(asked(**what))
    assert caught.value.violation.field == field


def test_the_most_that_is_allowed_passes() -> None:
    taken = change(asked(add_credits=1_000_000, shared_hashes=[bytes(16)] * 8 + [bytes(64)] * 8, join_waitlist=True))
    assert (taken.add_credits, len(taken.shared_hashes), taken.join_waitlist) == (1_000_000, 16, True)


def test_another_change_has_another_digest() -> None:
    assert change(asked(add_credits=1)).content_digest != change(asked(add_credits=2)).content_digest
