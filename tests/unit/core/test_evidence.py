from __future__ import annotations

import resource
import stat
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.core.errors import ConfigurationError, NotFound, PermissionDenied, Unavailable
from services.core.evidence import (
    SEALED_KEY,
    SEALED_SUFFIX,
    SUFFIX,
    EvidenceStore,
    create_evidence_key,
    rotate_evidence_key,
    rotate_sealed_key,
)


@pytest.fixture
def store(tmp_path: Path) -> EvidenceStore:
    create_evidence_key(tmp_path / "keys" / "evidence.key")
    return EvidenceStore(tmp_path / "evidence", tmp_path / "keys" / "evidence.key")


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary())
def test_what_was_put_comes_back(store: EvidenceStore, data: bytes) -> None:
    assert store.get(store.put(data).id) == data


def test_the_disk_holds_no_plain_text(store: EvidenceStore, tmp_path: Path) -> None:
    store.put(b"what a user wrote")
    files = [path for path in (tmp_path / "evidence").rglob("*") if path.is_file()]
    assert [b"user" in path.read_bytes() for path in files] == [False]


def test_two_puts_of_the_same_look_different(store: EvidenceStore) -> None:
    assert store.put(b"same").sha256 != store.put(b"same").sha256


def test_a_changed_file_is_not_read(store: EvidenceStore, tmp_path: Path) -> None:
    blob = store.put(b"original")
    path = next((tmp_path / "evidence").rglob("*.aead"))
    *whole, last = path.read_bytes()
    path.write_bytes(bytes([*whole, last ^ 1]))
    with pytest.raises(Unavailable):
        store.get(blob.id)


def test_a_file_in_anothers_place_is_not_read(store: EvidenceStore) -> None:
    one, two = store.put(b"one"), store.put(b"two")
    store._path(one.id, SUFFIX).write_bytes(store._path(two.id, SUFFIX).read_bytes())
    with pytest.raises(Unavailable):
        store.get(one.id)


def test_a_full_disk_is_told_as_one_and_leaves_nothing_half(store: EvidenceStore, tmp_path: Path) -> None:
    kept = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, kept[1]))
    try:
        with pytest.raises(Unavailable) as caught:
            store.put(bytes(2000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, kept)
    assert caught.value.reason == "EVIDENCE_UNWRITABLE"
    assert [path for path in (tmp_path / "evidence").rglob("*") if path.is_file()] == []


def test_what_was_deleted_is_not_found(store: EvidenceStore) -> None:
    blob = store.put(b"gone")
    store.delete(blob.id)
    with pytest.raises(NotFound):
        store.get(blob.id)


def test_deleting_what_is_not_there_is_no_error(store: EvidenceStore) -> None:
    store.delete(uuid4())


def test_old_blobs_are_told(store: EvidenceStore) -> None:
    blob = store.put(b"old")
    assert list(store.older_than(-1)) == [blob.id]
    assert list(store.older_than(60)) == []


def test_a_blob_that_another_sweeps_meanwhile_is_no_error(store: EvidenceStore) -> None:
    blobs = {store.put(b"old").id for _ in range(3)}
    told = store.older_than(-1)
    first = next(told)
    for blob in blobs - {first}:
        store.delete(blob)
    assert list(told) == []


def test_the_key_is_made_once_and_private(tmp_path: Path) -> None:
    path = tmp_path / "evidence.key"
    create_evidence_key(path)
    first = path.read_bytes()
    create_evidence_key(path)
    assert path.read_bytes() == first
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("key", [None, b"", b"short"])
def test_without_a_good_key_nothing_starts(tmp_path: Path, key: bytes | None) -> None:
    path = tmp_path / "evidence.key"
    if key is not None:
        path.write_bytes(key)
    with pytest.raises(ConfigurationError):
        EvidenceStore(tmp_path / "evidence", path)


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary())
def test_what_was_sealed_comes_back_to_who_holds_the_private_key(store: EvidenceStore, data: bytes) -> None:
    assert store.get(store.put(data, sealed=True).id) == data


def test_who_sealed_it_cannot_read_it_again(store: EvidenceStore, tmp_path: Path) -> None:
    (tmp_path / "keys" / SEALED_KEY).unlink()
    writer = EvidenceStore(tmp_path / "evidence", tmp_path / "keys" / "evidence.key")

    blob = writer.put(b"sealed", sealed=True)

    with pytest.raises(PermissionDenied):
        writer.get(blob.id)
    assert store.get(blob.id) == b"sealed"


def test_a_sealed_file_in_anothers_place_is_not_read(store: EvidenceStore) -> None:
    one, two = store.put(b"one", sealed=True), store.put(b"two", sealed=True)
    store._path(one.id, SEALED_SUFFIX).write_bytes(store._path(two.id, SEALED_SUFFIX).read_bytes())

    with pytest.raises(Unavailable):
        store.get(one.id)


def test_a_sealed_file_is_deleted_like_others(store: EvidenceStore) -> None:
    blob = store.put(b"gone", sealed=True)

    store.delete(blob.id)

    with pytest.raises(NotFound):
        store.get(blob.id)


def test_keys_that_are_there_stay(store: EvidenceStore, tmp_path: Path) -> None:
    blob = store.put(b"kept", sealed=True)

    create_evidence_key(tmp_path / "keys" / "evidence.key")

    assert EvidenceStore(tmp_path / "evidence", tmp_path / "keys" / "evidence.key").get(blob.id) == b"kept"


@pytest.mark.parametrize("sealed", [False, True])
def test_after_a_rotation_a_running_store_writes_with_the_new_key_and_reads_both(
    store: EvidenceStore, tmp_path: Path, sealed: bool
) -> None:
    keys = tmp_path / "keys"
    before = store.put(b"before", sealed=sealed)
    earlier = (rotate_sealed_key if sealed else rotate_evidence_key)(keys / "evidence.key", datetime.now(UTC))
    after = store.put(b"after", sealed=sealed)
    assert [store.get(before.id), store.get(after.id)] == [b"before", b"after"]
    earlier.unlink()
    assert EvidenceStore(tmp_path / "evidence", keys / "evidence.key").get(after.id) == b"after"
    with pytest.raises(Unavailable, match="cannot be read"):
        store.get(before.id)


def test_old_keys_are_as_private_as_new_ones(store: EvidenceStore, tmp_path: Path) -> None:
    earlier = rotate_evidence_key(tmp_path / "keys" / "evidence.key", datetime.now(UTC))
    modes = {stat.S_IMODE(path.stat().st_mode) for path in (earlier, *(tmp_path / "keys").glob("*.key"))}
    assert modes == {0o600}


def test_the_sealed_pair_is_rotated_where_its_private_key_is(store: EvidenceStore, tmp_path: Path) -> None:
    (tmp_path / "keys" / SEALED_KEY).unlink()
    with pytest.raises(ConfigurationError, match=SEALED_KEY):
        rotate_sealed_key(tmp_path / "keys" / "evidence.key", datetime.now(UTC))
