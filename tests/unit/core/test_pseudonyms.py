"""Ids of people under a keyed hash."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from services.core.errors import ConfigurationError
from services.core.evidence import create_evidence_key, rotate_evidence_key
from services.core.pseudonyms import Pseudonyms


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    create_evidence_key(tmp_path / "evidence.key")
    return tmp_path / "evidence.key"


def test_the_same_person_of_the_same_tenant_is_known_again(key_file: Path) -> None:
    first, later = Pseudonyms.load(key_file, "reporters"), Pseudonyms.load(key_file, "reporters")

    assert first.of("acme", "user-1") == later.of("acme", "user-1")


def test_person_tenant_purpose_and_key_each_make_another(key_file: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    create_evidence_key(tmp_path / "other" / "evidence.key")
    ours = Pseudonyms.load(key_file, "reporters")

    hashes = {
        ours.of("acme", "user-1"),
        ours.of("acme", "user-2"),
        ours.of("acm", "euser-1"),
        Pseudonyms.load(key_file, "devices").of("acme", "user-1"),
        Pseudonyms.load(tmp_path / "other" / "evidence.key", "reporters").of("acme", "user-1"),
    }

    assert len(hashes) == 5


def test_without_a_key_nothing_starts(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no evidence key"):
        Pseudonyms.load(tmp_path / "evidence.key", "reporters")


def test_people_are_known_again_after_the_evidence_key_was_rotated(key_file: Path) -> None:
    before = Pseudonyms.load(key_file, "reporters").of("acme", "user-1")
    for day in (1, 2):
        rotate_evidence_key(key_file, datetime(2026, 1, day, tzinfo=UTC))

    assert Pseudonyms.load(key_file, "reporters").of("acme", "user-1") == before
