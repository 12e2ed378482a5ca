"""The development authority and the watermark key."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from services.core.errors import ConfigurationError
from services.provenance.authority import ORGANISATION, create_authority, create_watermark_key, init, make_authority


def test_a_second_start_keeps_what_the_first_made(tmp_path: Path) -> None:
    create_authority(tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    create_authority(tmp_path)

    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize(("organisation", "renewed"), [(ORGANISATION, True), ("Example Ltd", False)])
def test_in_its_last_month_a_chain_that_was_made_here_is_rotated(
    tmp_path: Path, organisation: str, renewed: bool
) -> None:
    then = datetime.now(UTC) - timedelta(days=380)
    init(tmp_path, make_authority(organisation, "ed25519", then), "ed25519", then)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    create_authority(tmp_path)

    after = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert (after["chain.pem"] != before["chain.pem"]) is renewed
    assert (after["key.pem"] != before["key.pem"]) is renewed
    assert before["ca.pem"] in after["ca.pem"]


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
