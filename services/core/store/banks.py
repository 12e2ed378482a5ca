"""Banks of known images: 256-bit hashes under the name of a bank and the id of an entry."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from psycopg.rows import class_row

from services.core.errors import InvalidInput
from services.core.store.database import Connection

HashKind = Literal["pdq", "phash256"]

HASH_BYTES = 32
NAME = re.compile(r"[a-z0-9-]{1,64}")


@dataclass(frozen=True, slots=True)
class BankEntry:
    """A known image: its bank, its id there, the kind of its hash, and the hash (32 bytes)."""

    bank: str
    entry: str
    kind: HashKind
    hash: bytes


async def add_entry(conn: Connection, entry: BankEntry) -> None:
    """Adds an entry, and its bank where that is new; the same entry again renews its hash.

    Raises InvalidInput for a bank name outside [a-z0-9-]{1,64}, an entry id outside 1 … 128 characters, or a hash that
    is not of 32 bytes.
    """
    if not NAME.fullmatch(entry.bank):
        raise InvalidInput("bank", "1 to 64 characters of a-z, 0-9 and - are allowed")
    if not 1 <= len(entry.entry) <= 128:
        raise InvalidInput("entry", "1 to 128 characters are allowed")
    if len(entry.hash) != HASH_BYTES:
        raise InvalidInput("hash", f"has {len(entry.hash)} bytes, {HASH_BYTES} are needed")
    await conn.execute("INSERT INTO banks (bank) VALUES (%s) ON CONFLICT DO NOTHING", [entry.bank])
    await conn.execute(
        "INSERT INTO bank_entries (bank, entry, kind, hash) VALUES (%s, %s, %s, %s)"
        " ON CONFLICT (bank, entry, kind) DO UPDATE SET hash = excluded.hash",
        [entry.bank, entry.entry, entry.kind, entry.hash],
    )


async def remove_entry(conn: Connection, bank: str, entry: str) -> None:
    """Takes an entry out, all its hashes; one that is not there is no error."""
    await conn.execute("DELETE FROM bank_entries WHERE bank = %s AND entry = %s", [bank, entry])


async def version(conn: Connection) -> str:
    """Names the state of all banks: another after every change of an entry."""
    row = await (await conn.execute("SELECT changes FROM bank_state")).fetchone()
    assert row is not None, "the migration wrote this row"
    return str(row[0])


async def load_entries(conn: Connection) -> list[BankEntry]:
    """All entries of all banks."""
    async with conn.cursor(row_factory=class_row(BankEntry)) as cursor:
        await cursor.execute("SELECT bank, entry, kind, hash FROM bank_entries ORDER BY bank, entry, kind")
        return await cursor.fetchall()
