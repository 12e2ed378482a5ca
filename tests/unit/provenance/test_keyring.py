"""Rotation: a running house takes the new chain, and what it signed before stays trusted."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from services.core.errors import ConfigurationError
from services.core.secret_files import replace_secret
from services.provenance.authority import Algorithm, create_authority, init, make_authority, make_chain, rotate
from services.provenance.keyring import Keyring
from services.provenance.settings import ProvenanceSettings
from tests.unit.provenance.test_manifest import RELEASE, picture


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    create_authority(tmp_path)
    return tmp_path


@pytest.fixture
def keyring(folder: Path) -> Iterator[Keyring]:
    keyring = Keyring(folder, ProvenanceSettings())
    yield keyring
    keyring.close()


def signed(keyring: Keyring) -> bytes:
    return keyring.sign(picture(), "PNG", RELEASE, None).image


@pytest.mark.parametrize("algorithm", ["es256", "ed25519"])
def test_old_and_new_manifests_are_trusted_after_a_rotation(
    folder: Path, keyring: Keyring, algorithm: Algorithm
) -> None:
    before = signed(keyring)

    rotate(folder, make_authority("Another name", algorithm, datetime.now(UTC)), algorithm, datetime.now(UTC))
    keyring.refresh()

    after = signed(keyring)
    assert b"Another name" in after
    assert b"Another name" not in before
    assert [keyring.reader.read(image, "PNG").state for image in (before, after)] == ["trusted", "trusted"]


def test_half_a_rotation_changes_nothing(folder: Path, keyring: Keyring) -> None:
    ca, chain, key = make_chain("Another name", datetime.now(UTC))

    replace_secret(folder / "ca.pem", ca)
    replace_secret(folder / "key.pem", key)
    keyring.refresh()
    between = signed(keyring)
    replace_secret(folder / "chain.pem", chain)
    keyring.refresh()

    assert b"Another name" not in between
    assert b"Another name" in signed(keyring)


def test_a_ca_that_is_removed_is_trusted_no_more(folder: Path, keyring: Keyring) -> None:
    before = signed(keyring)
    fresh = make_authority("Another name", "es256", datetime.now(UTC))
    rotate(folder, fresh, "es256", datetime.now(UTC))

    replace_secret(folder / "ca.pem", fresh.pem)
    keyring.refresh()

    assert keyring.reader.read(before, "PNG").state == "foreign"


def test_timestamps_without_their_root_are_a_mistake(folder: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"tsa\.pem is missing"):
        Keyring(folder, ProvenanceSettings(tsa_url="http://127.0.0.1:1/"))


def test_a_chain_whose_ca_is_not_trusted_stops_the_start(folder: Path) -> None:
    replace_secret(folder / "ca.pem", make_chain("Another name", datetime.now(UTC))[0])

    with pytest.raises(ConfigurationError, match=r"must be in ca\.pem"):
        Keyring(folder, ProvenanceSettings())


def test_an_expired_certificate_stops_the_start(tmp_path: Path) -> None:
    then = datetime.now(UTC) - timedelta(days=500)
    init(tmp_path, make_authority("Portcullis development", "es256", then), "es256", then)

    with pytest.raises(ConfigurationError, match="ca rotate"):
        Keyring(tmp_path, ProvenanceSettings())


@pytest.mark.parametrize("name", ["ca.pem", "chain.pem", "key.pem", "tsa.pem"])
def test_a_spoilt_file_is_not_taken(folder: Path, keyring: Keyring, name: str) -> None:
    before = signed(keyring)

    (folder / name).write_bytes(b"\xff nonsense")
    keyring.refresh()

    assert keyring.reader.read(before, "PNG").state == "trusted"
    assert keyring.reader.read(signed(keyring), "PNG").state == "trusted"


def test_a_key_that_does_not_fit_stops_the_start(folder: Path) -> None:
    replace_secret(folder / "key.pem", make_chain("Another name", datetime.now(UTC))[2])

    with pytest.raises(ConfigurationError, match="does not belong"):
        Keyring(folder, ProvenanceSettings())
