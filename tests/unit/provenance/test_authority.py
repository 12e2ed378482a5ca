"""The development authority and the watermark key."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.core.errors import ConfigurationError
from services.provenance.authority import create_authority, create_watermark_key


def test_a_second_start_keeps_what_the_first_made(tmp_path: Path) -> None:
    create_authority(tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    create_authority(tmp_path)

    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_only_the_owner_can_read_the_files(tmp_path: Path) -> None:
    create_authority(tmp_path / "c2pa")
    create_watermark_key(tmp_path / "watermark.key")

    assert {path.stat().st_mode & 0o777 for path in tmp_path.rglob("*.*")} == {0o600}


def test_a_chain_without_its_key_is_not_papered_over(tmp_path: Path) -> None:
    create_authority(tmp_path)
    (tmp_path / "key.pem").unlink()

    with pytest.raises(ConfigurationError, match=r"ca\.pem, chain\.pem"):
        create_authority(tmp_path)


def test_a_watermark_key_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "watermark.key"
    create_watermark_key(path)
    first = path.read_bytes()

    create_watermark_key(path)

    assert path.read_bytes() == first
    assert len(first) == 32
