"""What a platform says of an account, validated at the door."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from uuid import UUID

from portcullis.v1 import gateway_pb2 as api
from services.core.errors import InvalidInput
from services.gateway import order

MAX_CREDITS = 1_000_000
MAX_HASHES = 16
MIN_HASH_BYTES = 16
MAX_HASH_BYTES = 64


@dataclass(frozen=True, slots=True)
class AccountChange:
    """What is new about an account; `content_digest` is the sha256 of all of it."""

    request_id: UUID
    account: str
    add_credits: int
    shared_hashes: tuple[bytes, ...]
    join_waitlist: bool
    content_digest: bytes


def change(request: api.UpdateAccountRequest) -> AccountChange:
    """The change that a message asks for; raises InvalidInput."""
    if request.add_credits > MAX_CREDITS:
        raise InvalidInput("add_credits", f"is {request.add_credits}; 0–{MAX_CREDITS} are allowed")
    if len(request.shared_hashes) > MAX_HASHES:
        raise InvalidInput(
            "shared_hashes", f"has {len(request.shared_hashes)} entries; at most {MAX_HASHES} are allowed"
        )
    for place, value in enumerate(request.shared_hashes):
        if not MIN_HASH_BYTES <= len(value) <= MAX_HASH_BYTES:
            field = f"shared_hashes[{place}]"
            raise InvalidInput(field, f"has {len(value)} bytes; {MIN_HASH_BYTES}–{MAX_HASH_BYTES} are allowed")
    return AccountChange(
        order.request_id(request.request_id),
        order.account(request.account),
        request.add_credits,
        tuple(request.shared_hashes),
        request.join_waitlist,
        sha256(request.SerializeToString(deterministic=True)).digest(),
    )
