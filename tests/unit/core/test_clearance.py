"""Clearances open the gate for exactly what was cleared, and for nothing else."""

from __future__ import annotations

import base64
import dataclasses
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from services.core.clearance import JWKS, Claim, ClearanceSigner, ClearanceVerifier, create_keys, digest, rotate_keys
from services.core.errors import ConfigurationError, PermissionDenied
from services.core.secret_files import replace_secret

CLAIM = Claim("acme", "user-1", "prompt", {"prompt": digest(b"a red circle")}, policy="p" * 64)
LIFE = timedelta(minutes=5)


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("keys") / "clearance"
    create_keys(folder)
    return folder


@pytest.fixture(scope="module")
def signer(keys: Path) -> ClearanceSigner:
    return ClearanceSigner.load(keys, "prompt_filter", LIFE)


@pytest.fixture(scope="module")
def generator(keys: Path) -> ClearanceVerifier:
    return ClearanceVerifier.load(keys / "jwks.json", "generator")


def accepts(verifier: ClearanceVerifier, token: str, claim: Claim = CLAIM) -> Claim:
    return verifier.verify(token, stage=claim.stage, tenant=claim.tenant, account=claim.account, digests=claim.digests)


def refusal(verifier: ClearanceVerifier, token: str, claim: Claim = CLAIM) -> str:
    with pytest.raises(PermissionDenied) as caught:
        accepts(verifier, token, claim)
    return caught.value.reason


def test_a_clearance_returns_what_was_claimed(signer: ClearanceSigner, generator: ClearanceVerifier) -> None:
    claim = dataclasses.replace(CLAIM, models=("prompt-linear/1",), signals="s" * 64)
    assert accepts(generator, signer.issue(claim)) == claim


def test_no_clearance_is_refused(generator: ClearanceVerifier) -> None:
    assert refusal(generator, "") == "CLEARANCE_MISSING"


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        (dataclasses.replace(CLAIM, digests={"prompt": digest(b"a red circl")}), "CLEARANCE_DIGEST"),
        (dataclasses.replace(CLAIM, digests={**CLAIM.digests, "image": digest(b"")}), "CLEARANCE_DIGEST"),
        (dataclasses.replace(CLAIM, digests={}), "CLEARANCE_DIGEST"),
        (dataclasses.replace(CLAIM, tenant="other"), "CLEARANCE_SUBJECT"),
        (dataclasses.replace(CLAIM, account="user-2"), "CLEARANCE_SUBJECT"),
        (dataclasses.replace(CLAIM, stage="upload"), "CLEARANCE_STAGE"),
    ],
)
def test_a_clearance_for_something_else_is_refused(
    signer: ClearanceSigner, generator: ClearanceVerifier, asked: Claim, reason: str
) -> None:
    assert refusal(generator, signer.issue(CLAIM), asked) == reason


def test_an_expired_clearance_is_refused(signer: ClearanceSigner, generator: ClearanceVerifier) -> None:
    token = signer.issue(CLAIM, now=datetime.now(UTC) - timedelta(hours=1))
    assert refusal(generator, token) == "CLEARANCE_EXPIRED"


def test_a_clearance_signed_by_another_key_is_refused(generator: ClearanceVerifier) -> None:
    stranger = ClearanceSigner("prompt_filter", Ed25519PrivateKey.generate, LIFE)
    assert refusal(generator, stranger.issue(CLAIM)) == "CLEARANCE_INVALID"


def test_a_clearance_for_another_audience_is_refused(signer: ClearanceSigner, keys: Path) -> None:
    provenance = ClearanceVerifier.load(keys / "jwks.json", "provenance")
    assert refusal(provenance, signer.issue(CLAIM)) == "CLEARANCE_INVALID"


def test_a_filter_cannot_clear_a_stage_that_is_not_its_own(signer: ClearanceSigner) -> None:
    with pytest.raises(PermissionDenied):
        signer.issue(dataclasses.replace(CLAIM, stage="output"))


def test_a_key_of_one_filter_cannot_speak_for_another(keys: Path, generator: ClearanceVerifier) -> None:
    # given the image filter's own key, used under the prompt filter's name
    stolen = ClearanceSigner("prompt_filter", ClearanceSigner.load(keys, "image_filter", LIFE)._key, LIFE)
    assert refusal(generator, stolen.issue(CLAIM)) == "CLEARANCE_INVALID"


@pytest.mark.parametrize(
    "alter",
    [
        lambda header: {**header, "alg": "none"},
        lambda header: {**header, "alg": "HS256"},
        lambda header: {**header, "typ": "JWT"},
        lambda header: {**header, "kid": "unknown"},
        lambda header: {key: value for key, value in header.items() if key != "kid"},
    ],
)
def test_a_header_that_says_otherwise_is_refused(
    signer: ClearanceSigner,
    generator: ClearanceVerifier,
    alter: Callable[[dict[str, str]], dict[str, str]],
) -> None:
    token = signer.issue(CLAIM)
    header = alter(jwt.get_unverified_header(token))
    encoded = base64.urlsafe_b64encode(json.dumps(header).encode()).rstrip(b"=").decode()
    assert refusal(generator, ".".join([encoded, *token.split(".")[1:]])) == "CLEARANCE_INVALID"


@given(place=st.integers(min_value=0), flip=st.integers(min_value=1, max_value=127))
def test_no_changed_character_is_accepted_as_another_clearance(
    signer: ClearanceSigner, generator: ClearanceVerifier, place: int, flip: int
) -> None:
    token = signer.issue(CLAIM)
    at = place % len(token)
    changed = token[:at] + chr(ord(token[at]) ^ flip) + token[at + 1 :]
    try:
        claim = accepts(generator, changed)
    except PermissionDenied:
        return
    # base64 has spare bits at the end of a part; what is accepted must then say the very same.
    assert (claim.digests, claim.tenant, claim.account) == (CLAIM.digests, CLAIM.tenant, CLAIM.account)


@given(st.text(max_size=200))
def test_no_text_is_accepted_as_a_clearance(generator: ClearanceVerifier, text: str) -> None:
    with pytest.raises(PermissionDenied):
        accepts(generator, text)


def test_keys_are_kept_and_readable_by_their_owner_alone(keys: Path) -> None:
    before = (keys / "review.pem").read_bytes()
    create_keys(keys)
    assert (keys / "review.pem").read_bytes() == before
    assert {path.stat().st_mode & 0o777 for path in keys.glob("*.pem")} == {0o600}


def test_a_missing_key_says_how_to_make_it(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="portcullis up"):
        ClearanceSigner.load(tmp_path, "prompt_filter", LIFE)


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """Keys that a test may rotate."""
    create_keys(tmp_path)
    return tmp_path


def test_after_a_rotation_running_rooms_sign_with_the_new_key_and_take_both(own: Path) -> None:
    signer, verifier = ClearanceSigner.load(own, "prompt_filter", LIFE), ClearanceVerifier.load(own / JWKS, "generator")
    before = signer.issue(CLAIM)
    rotate_keys(own, datetime.now(UTC))
    after = signer.issue(CLAIM)
    assert jwt.get_unverified_header(before)["kid"] != jwt.get_unverified_header(after)["kid"]
    assert [accepts(verifier, token).tenant for token in (before, after)] == ["acme", "acme"]


def test_rotated_without_trust_the_old_clearances_are_void(own: Path) -> None:
    signer, verifier = ClearanceSigner.load(own, "prompt_filter", LIFE), ClearanceVerifier.load(own / JWKS, "generator")
    before = signer.issue(CLAIM)
    rotate_keys(own, datetime.now(UTC), distrust=True)
    assert accepts(verifier, signer.issue(CLAIM)).tenant == "acme"
    assert refusal(verifier, before) == "CLEARANCE_INVALID"


def test_old_keys_outlive_every_clearance_and_are_gone_then(own: Path) -> None:
    def retired() -> set[str]:
        return {entry["retired"] for entry in json.loads((own / JWKS).read_text())["keys"] if "retired" in entry}

    now = datetime.now(UTC)
    rotate_keys(own, now - timedelta(hours=3))
    rotate_keys(own, now - timedelta(hours=1))
    create_keys(own)  # as the next start of the house does
    assert retired() == {(now - timedelta(hours=1)).isoformat()}
    rotate_keys(own, now)
    assert retired() == {(now - timedelta(hours=1)).isoformat(), now.isoformat()}


def test_a_new_key_that_is_broken_is_not_used(own: Path) -> None:
    signer, verifier = ClearanceSigner.load(own, "prompt_filter", LIFE), ClearanceVerifier.load(own / JWKS, "generator")
    replace_secret(own / "prompt_filter.pem", b"no key")
    (own / JWKS).write_text("{")
    assert accepts(verifier, signer.issue(CLAIM)).tenant == "acme"
