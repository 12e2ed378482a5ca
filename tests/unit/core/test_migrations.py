"""Migrations that were released stay as they are: houses out there have applied them."""

from __future__ import annotations

import hashlib

from services.core.store.database import MIGRATIONS
from tests import releases

FILES = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in MIGRATIONS.glob("*")}


def test_a_released_migration_is_as_it_was() -> None:
    released = releases.checksums()

    changed = sorted(name for name, digest in released.items() if FILES.get(name) != digest)

    assert changed == [], "edited or removed after their release: undo that, and write a new migration instead"


def test_a_new_migration_comes_after_all_released_ones() -> None:
    released = releases.checksums()

    new = FILES.keys() - released.keys()

    assert all(name > max(released) for name in new)


def test_no_number_is_given_twice() -> None:
    numbers = [name.partition(".")[0] for name in FILES]

    assert len(set(numbers)) == len(numbers)
