"""The banks of known images as a filter loads them: plain arrays, some 150 bytes an entry of one hash."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.core.store.banks import HASH_BYTES, OPINIONS, BankEntry, HashKind
from services.core.store.database import Connection, Database

_PAGE = 20_000  # entries read at once: some milliseconds of work for the event loop
_MATCHING = "b.enabled AND e.enabled AND e.opinion <> 'negative_class'"
_OPINIONS = ", ".join(f"'{opinion}'" for opinion in OPINIONS)
_INT = np.dtype(">i8")
_HASH = np.dtype([("entry", _INT), ("hash", np.uint8, HASH_BYTES)])


@dataclass(frozen=True, slots=True)
class KnownImages:
    """Entries, each by its place in these arrays, and their hashes.

    `ids` int64, ascending; `banks` int64, keys of `names`, where each bank has its tenant (None: the house) and name;
    `entries` text; `opinions` uint8, places in OPINIONS. `hashes`: by kind, whose each is (a place), and (n, 32) uint8.
    """

    names: dict[int, tuple[str | None, str]]
    ids: NDArray[np.int64]
    banks: NDArray[np.int64]
    entries: NDArray[Any]
    opinions: NDArray[np.uint8]
    hashes: dict[HashKind, tuple[NDArray[np.int64], NDArray[np.uint8]]]

    @classmethod
    def of(cls, entries: Sequence[BankEntry]) -> KnownImages:
        """Entries that were made here, all of them, numbered in their order."""
        names = list(dict.fromkeys((entry.tenant, entry.bank) for entry in entries))
        hashes: dict[HashKind, list[tuple[int, bytes]]] = {}
        for place, entry in enumerate(entries):
            for known in entry.hashes:
                hashes.setdefault(known.kind, []).append((place, known.bits))
        return cls(
            dict(enumerate(names)),
            np.arange(len(entries)),
            np.array([names.index((entry.tenant, entry.bank)) for entry in entries], np.int64),
            _text([entry.entry for entry in entries]),
            np.array([OPINIONS.index(entry.opinion) for entry in entries], np.uint8),
            {kind: (np.array([place for place, _ in rows]), _bits(rows)) for kind, rows in hashes.items()},
        )


async def version(conn: Connection) -> str:
    """Names the state of all banks: another after every change of a bank or an entry."""
    row = await (await conn.execute("SELECT changes FROM bank_state")).fetchone()
    assert row is not None, "the migration wrote this row"
    return str(row[0])


async def load(database: Database, everything: bool = False) -> KnownImages:
    """All entries that can match, or with `everything` also those that are disabled or called harmless.

    Read page by page, each in a transaction of its own, so that millions take no longer than a statement may. What
    changes meanwhile may be seen in part: ask for `version` before, and load again where it is another afterwards.
    """
    numbers: list[bytes] = []
    entries: list[NDArray[Any]] = []
    hashes: dict[HashKind, list[bytes]] = {}
    last = 0
    while True:
        async with database.transaction() as conn:
            page = await _entries(conn, last, everything)
            if page is None:
                break
            first, last = last, page[2]
            numbers.append(page[0])
            entries.append(_text(page[1]))
            for kind, packed in await _hashes(conn, first, last):
                hashes.setdefault(kind, []).append(packed)
    async with database.transaction() as conn:
        rows = await (await conn.execute("SELECT bank_id, tenant, bank FROM banks")).fetchall()
    names = {bank_id: (tenant, bank) for bank_id, tenant, bank in rows}
    return await asyncio.to_thread(_assembled, names, numbers, entries, hashes)


async def count_seen(conn: Connection, seen: Counter[int]) -> None:
    """Adds to how often entries (by id) were seen, just now; one that is gone by then is passed over."""
    ids = sorted(seen)  # in one order, so that two services that count the same entries cannot lock each other out
    await conn.execute(
        "INSERT INTO bank_seen AS s (entry_id, seen, last_seen) SELECT entry_id, count, now()"
        " FROM unnest(%s::bigint[], %s::bigint[]) AS counted (entry_id, count) JOIN bank_entries USING (entry_id)"
        " ORDER BY entry_id"
        " ON CONFLICT (entry_id) DO UPDATE SET seen = s.seen + excluded.seen, last_seen = excluded.last_seen",
        [ids, [seen[entry] for entry in ids]],
    )


async def _entries(conn: Connection, after: int, everything: bool) -> tuple[bytes, list[str], int] | None:
    """A page: entry, bank and opinion as big-endian numbers, the entries' names, the last number; None at the end."""
    cursor = await conn.execute(
        "SELECT string_agg(int8send(entry_id) || int8send(bank_id) || int8send(opinion), ''::bytea ORDER BY entry_id),"  # noqa: S608
        " array_agg(entry ORDER BY entry_id), max(entry_id) FROM (SELECT entry_id, bank_id, entry,"
        f" array_position(ARRAY[{_OPINIONS}], e.opinion)::bigint AS opinion FROM bank_entries e JOIN banks b"
        f" USING (bank_id) WHERE entry_id > %s AND {'true' if everything else _MATCHING}"
        " ORDER BY entry_id LIMIT %s) page",
        [after, _PAGE],
        binary=True,
    )
    row = await cursor.fetchone()
    return row if row and row[2] is not None else None


async def _hashes(conn: Connection, after: int, last: int) -> list[tuple[HashKind, bytes]]:
    cursor = await conn.execute(
        "SELECT kind, string_agg(int8send(entry_id) || hash, ''::bytea ORDER BY entry_id, part) FROM bank_hashes"
        " WHERE entry_id > %s AND entry_id <= %s GROUP BY kind",
        [after, last],
        binary=True,
    )
    return await cursor.fetchall()


def _assembled(
    names: dict[int, tuple[str | None, str]],
    numbers: Sequence[bytes],
    entries: Sequence[NDArray[Any]],
    hashes: dict[HashKind, list[bytes]],
) -> KnownImages:
    """The pages as one; work for a thread, since it takes a second for a million."""
    ids, banks, opinions = np.frombuffer(b"".join(numbers), _INT).reshape(-1, 3).T.astype(np.int64)
    return KnownImages(
        names,
        ids,
        banks,
        np.concatenate(entries) if entries else _text([]),
        (opinions - 1).astype(np.uint8),
        {kind: _placed(ids, b"".join(packed)) for kind, packed in hashes.items()},
    )


def _placed(ids: NDArray[np.int64], packed: bytes) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """Hashes with the places of their entries; those of entries that cannot match are left out."""
    rows = np.frombuffer(packed, _HASH)
    place = np.searchsorted(ids, rows["entry"].astype(np.int64))
    known = ids[np.minimum(place, len(ids) - 1)] == rows["entry"]
    return place[known], np.ascontiguousarray(rows["hash"][known])


def _text(entries: Sequence[str]) -> NDArray[Any]:
    return np.array(entries, np.dtypes.StringDType())


def _bits(rows: Sequence[tuple[int, bytes]]) -> NDArray[np.uint8]:
    return np.frombuffer(b"".join(bits for _, bits in rows), np.uint8).reshape(-1, HASH_BYTES)
