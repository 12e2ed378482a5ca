"""The banks of known images in a real Postgres."""

from __future__ import annotations

import pytest

from services.core.errors import InvalidInput
from services.core.store import banks
from services.core.store.banks import BankEntry
from services.core.store.database import Database

ENTRY = BankEntry("bank", "a", "pdq", bytes(range(32)))


async def test_an_entry_comes_back_as_it_was(db: Database) -> None:
    async with db.transaction() as conn:
        await banks.add_entry(conn, ENTRY)

        assert await banks.load_entries(conn) == [ENTRY]


async def test_every_change_gives_a_new_version(db: Database) -> None:
    versions = []
    async with db.transaction() as conn:
        versions.append(await banks.version(conn))
        await banks.add_entry(conn, ENTRY)
        versions.append(await banks.version(conn))
        await banks.remove_entry(conn, "bank", "a")
        versions.append(await banks.version(conn))

    assert len(set(versions)) == 3


async def test_the_same_entry_again_renews_its_hash(db: Database) -> None:
    renewed = BankEntry("bank", "a", "pdq", bytes(32))
    async with db.transaction() as conn:
        await banks.add_entry(conn, ENTRY)
        await banks.add_entry(conn, renewed)

        assert await banks.load_entries(conn) == [renewed]


@pytest.mark.parametrize(
    "entry",
    [
        BankEntry("Bad Name", "a", "pdq", bytes(32)),
        BankEntry("bank", "", "pdq", bytes(32)),
        BankEntry("bank", "a", "pdq", bytes(31)),
    ],
)
async def test_a_malformed_entry_is_refused(db: Database, entry: BankEntry) -> None:
    async with db.transaction() as conn:
        with pytest.raises(InvalidInput):
            await banks.add_entry(conn, entry)
