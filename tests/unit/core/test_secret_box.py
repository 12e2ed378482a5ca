from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.core.errors import ConfigurationError, Unavailable
from services.core.secret_box import SecretBox, create_key

OWNER, OTHER = b"endpoint-1", b"endpoint-2"


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> SecretBox:
    path = tmp_path_factory.mktemp("keys") / "webhooks.key"
    create_key(path)
    return SecretBox(path)


@given(st.binary(max_size=100))
def test_a_secret_comes_back_for_its_owner(box: SecretBox, secret: bytes) -> None:
    assert box.open(box.seal(secret, OWNER), OWNER) == secret


def test_a_secret_cannot_be_put_in_anothers_place(box: SecretBox) -> None:
    sealed = box.seal(b"secret", OWNER)

    with pytest.raises(Unavailable):
        box.open(sealed, OTHER)


@given(st.integers(0, 33), st.integers(1, 255))
def test_a_changed_secret_is_refused(box: SecretBox, place: int, change: int) -> None:
    sealed = bytearray(box.seal(b"secret", OWNER))
    sealed[place] ^= change

    with pytest.raises(Unavailable):
        box.open(bytes(sealed), OWNER)


def test_a_key_is_made_once_and_read_by_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "webhooks.key"
    create_key(path)
    first = path.read_bytes()

    create_key(path)

    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (first, 0o600)


def test_without_a_good_key_nothing_starts(tmp_path: Path) -> None:
    (tmp_path / "short.key").write_bytes(b"short")

    with pytest.raises(ConfigurationError, match="32 bytes"):
        SecretBox(tmp_path / "short.key")
    with pytest.raises(ConfigurationError, match="portcullis up"):
        SecretBox(tmp_path / "none.key")
