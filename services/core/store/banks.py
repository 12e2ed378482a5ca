"""Banks of known images: hashes of 256 bits under the name of a bank and the id of an entry, and what is thought of it.

A bank is the house's, and every tenant's pictures are compared with it, or one tenant's.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Literal, get_args

from psycopg.rows import class_row

from services.core.errors import InvalidInput, NotFound
from services.core.store import audit
from services.core.store.database import Connection
from services.core.store.terms import NAME, Difference

CHANNEL = "image_banks"  # notified at the end of every transaction that changed a bank

HashKind = Literal["pdq", "phash256", "region"]
Opinion = Literal["positive_class", "investigation_seed", "disputed", "negative_class"]
Replacing = Literal["bank", "source", "entries"]
OPINIONS: tuple[Opinion, ...] = get_args(Opinion)

HASH_BYTES = 32
MOST_LABELS = 32
_LABEL = re.compile(r"[^|\x00-\x1f]{1,128}")
_ENTRY = re.compile(r"[^\x00-\x1f]{1,128}")
_GONE: dict[Replacing, str] = {"bank": "true", "source": "e.source = %(source)s", "entries": "false"}
_LONG = "SET LOCAL statement_timeout = '10min'"
_SIGNATURE = "md5(string_agg(convert_to(kind || part, 'UTF8') || hash, ''::bytea ORDER BY kind, part))"


@dataclass(frozen=True, slots=True)
class Hash:
    """One hash of 32 bytes: of the whole picture, or of a region of it."""

    kind: HashKind
    bits: bytes


@dataclass(frozen=True, slots=True)
class BankEntry:
    """A known image: its bank (of a tenant, or of the house), its id there, its hashes, and what is thought of it."""

    bank: str
    entry: str
    hashes: tuple[Hash, ...]
    tenant: str | None = None
    labels: tuple[str, ...] = ()
    opinion: Opinion = "positive_class"
    enabled: bool = True
    source: str = ""


@dataclass(frozen=True, slots=True)
class Bank:
    """A bank as a list shows it."""

    bank_id: int
    tenant: str | None
    bank: str
    description: str
    enabled: bool
    entries: int
    hashes: int
    seen: int
    changed_by: str
    changed_at: datetime


@dataclass(frozen=True, slots=True)
class EntryRow:
    """An entry as a list shows it, without its hashes."""

    entry_id: int
    tenant: str | None
    bank: str
    bank_enabled: bool
    entry: str
    labels: list[str]
    opinion: Opinion
    enabled: bool
    source: str
    added_by: str
    added_at: datetime
    kinds: list[str]
    seen: int
    last_seen: datetime | None


async def put(
    conn: Connection,
    tenant: str | None,
    bank: str,
    entries: Iterable[BankEntry],
    who: str,
    action: str,
    replacing: Replacing,
    source: str = "",
) -> Difference:
    """Writes `entries` into a bank, made where it is new, and records who did under `action`.

    `replacing` says what they stand for: all that the "bank" holds, all that it has of `source`, or their own "entries"
    only. Whether an entry is enabled is the bank's people's to say: it changes only where the whole bank is replaced.
    Raises InvalidInput for a malformed entry or one given twice, NotFound for an unknown tenant.
    """
    await conn.execute(_LONG)
    bank_id = await _bank(conn, tenant, bank, who)
    await _stage(conn, entries)
    removed = await _merge(conn, bank_id, who, replacing, source)
    cursor = await conn.execute(
        "SELECT count(*) FILTER (WHERE NOT known), count(*) FILTER (WHERE known AND NOT same),"
        " count(*) FILTER (WHERE same) FROM news"
    )
    added, changed, same = await cursor.fetchone() or (0, 0, 0)
    await conn.execute("DROP TABLE news, news_hashes")
    difference = Difference(added, changed, removed, same)
    await audit.append(conn, who, action, _subject(tenant, bank), **asdict(difference), source=source)
    return difference


async def banks(conn: Connection) -> list[Bank]:
    """All banks, those of the house first."""
    await conn.execute(_LONG)
    async with conn.cursor(row_factory=class_row(Bank)) as cursor:
        await cursor.execute(
            "SELECT b.bank_id, tenant, bank, description, enabled, count(e.entry_id) AS entries,"
            " coalesce(sum((SELECT count(*) FROM bank_hashes h WHERE h.entry_id = e.entry_id)), 0)::bigint AS hashes,"
            " coalesce(sum(s.seen), 0)::bigint AS seen, changed_by, changed_at"
            " FROM banks b LEFT JOIN (SELECT entry_id, bank_id FROM bank_entries) e USING (bank_id)"
            " LEFT JOIN bank_seen s USING (entry_id) GROUP BY b.bank_id ORDER BY tenant NULLS FIRST, bank"
        )
        return await cursor.fetchall()


async def entries(
    conn: Connection,
    tenant: str | None,
    bank: str,
    like: str = "",
    limit: int | None = None,
    after: str = "",
    until: str | None = None,
) -> list[EntryRow]:
    """Up to `limit` entries of a bank whose id or labels contain `like`, by id, those `after` one where it is named.

    None is looked at after `until`, where that is named. NotFound where there is no bank.
    """
    # By its number, so that they come in the order of its index and only those of the page are read.
    bank_id = await find_bank(conn, tenant, bank)
    return await _rows(
        conn,
        "b.bank_id = %s AND strpos(lower(e.entry || ' ' || array_to_string(e.labels, ' ')), lower(%s)) > 0"
        " AND e.entry > %s AND e.entry <= coalesce(%s, e.entry) ORDER BY e.entry LIMIT %s",
        [bank_id, like, after, until, limit],
    )


async def entry(conn: Connection, tenant: str | None, bank: str, name: str) -> EntryRow:
    """One entry, locked until the transaction ends; NotFound where there is no bank or no such entry of it."""
    bank_id = await find_bank(conn, tenant, bank)
    await conn.execute("SELECT FROM bank_entries WHERE bank_id = %s AND entry = %s FOR UPDATE", [bank_id, name])
    found = await _rows(conn, "b.bank_id = %s AND e.entry = %s", [bank_id, name])
    _require(len(found), bank, name)
    return found[0]


async def entries_by_id(conn: Connection, ids: Sequence[int]) -> dict[int, EntryRow]:
    """The entries of these ids that are there."""
    return {row.entry_id: row for row in await _rows(conn, "e.entry_id = ANY(%s)", [list(ids)])}


async def export(conn: Connection, tenant: str | None, bank: str) -> list[BankEntry]:
    """All of a bank, in the order of its ids; NotFound where there is no such bank."""
    await conn.execute(_LONG)
    bank_id = await find_bank(conn, tenant, bank)
    cursor = await conn.execute(
        "SELECT entry, labels, opinion, enabled, source, (SELECT array_agg(kind ORDER BY kind, part) FROM bank_hashes h"
        " WHERE h.entry_id = e.entry_id), (SELECT array_agg(hash ORDER BY kind, part) FROM bank_hashes h"
        " WHERE h.entry_id = e.entry_id) FROM bank_entries e WHERE bank_id = %s ORDER BY entry",
        [bank_id],
    )
    return [
        BankEntry(
            bank,
            entry,
            tuple(map(Hash, kinds or (), hashes or ())),
            tenant,
            tuple(labels),
            opinion,
            enabled,
            source,
        )
        for entry, labels, opinion, enabled, source, kinds, hashes in await cursor.fetchall()
    ]


async def find_bank(conn: Connection, tenant: str | None, bank: str) -> int:
    """The number of a bank; NotFound where there is none."""
    cursor = await conn.execute(
        "SELECT bank_id FROM banks WHERE tenant IS NOT DISTINCT FROM %s AND bank = %s", [tenant, bank]
    )
    row = await cursor.fetchone()
    if row is None:
        whose = f"the tenant {tenant!r} has" if tenant else "the house has"
        raise NotFound(f"{whose} no bank of images {bank!r}", reason="BANK_UNKNOWN")
    return int(row[0])


async def describe(conn: Connection, tenant: str | None, bank: str, description: str, who: str) -> None:
    """Says what a bank is for, in at most 1,000 characters; the bank is made where it is new."""
    if len(description) > 1000:
        raise InvalidInput("description", "at most 1,000 characters are allowed")
    bank_id = await _bank(conn, tenant, bank, who)
    await conn.execute("UPDATE banks SET description = %s WHERE bank_id = %s", [description, bank_id])
    await audit.append(conn, who, "image_banks.describe", _subject(tenant, bank))


async def enable(
    conn: Connection, tenant: str | None, bank: str, entry: str, enabled: bool, who: str, why: str = ""
) -> None:
    """Lets a bank, or one `entry` of it, match or not; NotFound where there is none."""
    bank_id = await find_bank(conn, tenant, bank)
    if entry:
        changed = await conn.execute(
            "UPDATE bank_entries SET enabled = %s WHERE bank_id = %s AND entry = %s", [enabled, bank_id, entry]
        )
        _require(changed.rowcount, bank, entry)
    else:
        await conn.execute("UPDATE banks SET enabled = %s WHERE bank_id = %s", [enabled, bank_id])
    await _changed(conn, bank_id, who)
    action = "image_banks.enable" if enabled else "image_banks.disable"
    await audit.append(conn, who, action, _subject(tenant, bank), entry=entry, why=why)


async def judge(
    conn: Connection, tenant: str | None, bank: str, entry: str, opinion: Opinion, who: str, why: str = ""
) -> int:
    """Sets what is thought of an `entry`, or where that is empty of all; returns of how many. NotFound for none."""
    bank_id = await find_bank(conn, tenant, bank)
    changed = await conn.execute(
        "UPDATE bank_entries SET opinion = %s WHERE bank_id = %s AND (entry = %s OR %s = '')",
        [opinion, bank_id, entry, entry],
    )
    if entry:
        _require(changed.rowcount, bank, entry)
    await _changed(conn, bank_id, who)
    said = {"entry": entry, "opinion": opinion, "why": why}
    await audit.append(conn, who, "image_banks.opinion", _subject(tenant, bank), **said)
    return changed.rowcount


async def remove(conn: Connection, tenant: str | None, bank: str, entry: str, who: str) -> int:
    """Takes out an `entry`, or where that is empty the bank; returns how many entries went. NotFound for none."""
    await conn.execute(_LONG)
    bank_id = await find_bank(conn, tenant, bank)
    gone = await conn.execute(
        "DELETE FROM bank_entries WHERE bank_id = %s AND (entry = %s OR %s = '')", [bank_id, entry, entry]
    )
    if entry:
        _require(gone.rowcount, bank, entry)
        await _changed(conn, bank_id, who)
    else:
        await conn.execute("DELETE FROM banks WHERE bank_id = %s", [bank_id])
    await audit.append(conn, who, "image_banks.remove", _subject(tenant, bank), entry=entry, removed=gone.rowcount)
    return gone.rowcount


def require_valid(entry: BankEntry) -> None:
    """InvalidInput where an entry's id, labels, opinion, source or hashes are not as the store keeps them."""
    if not _ENTRY.fullmatch(entry.entry):
        raise InvalidInput("entry", "1 to 128 characters are allowed, no control characters")
    if len(entry.labels) > MOST_LABELS or not all(map(_LABEL.fullmatch, entry.labels)):
        raise InvalidInput("labels", f"at most {MOST_LABELS} of 1 to 128 characters are allowed, no | and no controls")
    if entry.opinion not in OPINIONS:
        raise InvalidInput("opinion", f"{', '.join(OPINIONS)} are allowed")
    if len(entry.source) > 200 or "\0" in entry.source:
        raise InvalidInput("source", "at most 200 characters are allowed")
    if not entry.hashes or len(entry.hashes) > 255:
        raise InvalidInput("hashes", "an entry needs 1 to 255")
    for known in entry.hashes:
        if len(known.bits) != HASH_BYTES:
            raise InvalidInput("hash", f"has {len(known.bits)} bytes, {HASH_BYTES} are needed")


async def _bank(conn: Connection, tenant: str | None, bank: str, who: str) -> int:
    """The number of a bank, made where it is new; it is marked as changed by `who`."""
    if not NAME.fullmatch(bank):
        raise InvalidInput("bank", "1 to 64 characters of a-z, 0-9 and - are allowed")
    if tenant is not None:
        known = await conn.execute("SELECT FROM tenants WHERE tenant = %s", [tenant])
        if await known.fetchone() is None:
            raise NotFound(f"there is no tenant {tenant!r}", reason="TENANT_UNKNOWN")
    cursor = await conn.execute(
        "INSERT INTO banks (tenant, bank, changed_by) VALUES (%s, %s, %s) ON CONFLICT (tenant, bank)"
        " DO UPDATE SET changed_by = excluded.changed_by, changed_at = now() RETURNING bank_id",
        [tenant, bank, who],
    )
    row = await cursor.fetchone()
    assert row is not None, "an upsert returns its row"
    return int(row[0])


async def _stage(conn: Connection, entries: Iterable[BankEntry]) -> None:
    """Entries and hashes in temporary tables, ready to be compared with what is there."""
    await conn.execute(
        "CREATE TEMPORARY TABLE news (entry text PRIMARY KEY, labels text[] NOT NULL, opinion text NOT NULL,"
        " enabled boolean NOT NULL, source text NOT NULL, signature text,"
        " known boolean NOT NULL DEFAULT false, same boolean NOT NULL DEFAULT false)"
    )
    await conn.execute("CREATE TEMPORARY TABLE news_hashes (entry text, kind text, part smallint, hash bytea)")
    rows: dict[str, BankEntry] = {}
    for entry in entries:
        require_valid(entry)
        if entry.entry in rows:
            raise InvalidInput("entry", f"{entry.entry!r} is there twice")
        rows[entry.entry] = entry
    async with conn.cursor() as cursor:
        async with cursor.copy("COPY news (entry, labels, opinion, enabled, source) FROM STDIN") as copy:
            for row in rows.values():
                await copy.write_row((row.entry, list(row.labels), row.opinion, row.enabled, row.source))
        async with cursor.copy("COPY news_hashes FROM STDIN") as copy:
            for row in rows.values():
                for part, known in enumerate(row.hashes):
                    await copy.write_row((row.entry, known.kind, part, known.bits))
    await conn.execute("ANALYZE news")
    await conn.execute("ANALYZE news_hashes")
    await conn.execute(
        f"UPDATE news n SET signature = s.signature"  # noqa: S608
        f" FROM (SELECT entry, {_SIGNATURE} AS signature FROM news_hashes GROUP BY entry) s WHERE s.entry = n.entry"
    )


async def _merge(conn: Connection, bank_id: int, who: str, replacing: Replacing, source: str) -> int:
    """Brings a bank to what is staged; only what differs is written. Returns how many entries went."""
    names = {"bank": bank_id, "source": source, "who": who}
    await conn.execute(
        "UPDATE news n SET known = true, same ="  # noqa: S608 nothing but constants
        " (e.labels, e.opinion, e.source) = (n.labels, n.opinion, n.source)"
        f" AND {'e.enabled = n.enabled' if replacing == 'bank' else 'true'}"
        f" AND n.signature = (SELECT {_SIGNATURE} FROM bank_hashes h WHERE h.entry_id = e.entry_id)"
        " FROM bank_entries e WHERE e.bank_id = %(bank)s AND e.entry = n.entry",
        names,
    )
    removed = await conn.execute(
        "DELETE FROM bank_entries e WHERE bank_id = %(bank)s"  # noqa: S608
        f" AND {_GONE[replacing]} AND NOT EXISTS (SELECT FROM news n WHERE n.entry = e.entry)",
        names,
    )
    await conn.execute(
        "INSERT INTO bank_entries AS e (bank_id, entry, labels, opinion, enabled, source, added_by)"  # noqa: S608
        " SELECT %(bank)s, entry, labels, opinion, enabled, source, %(who)s FROM news WHERE NOT same"
        " ON CONFLICT (bank_id, entry) DO UPDATE SET labels = excluded.labels, opinion = excluded.opinion,"
        f" enabled = {'excluded' if replacing == 'bank' else 'e'}.enabled, source = excluded.source",
        names,
    )
    await conn.execute(
        "DELETE FROM bank_hashes h USING bank_entries e JOIN news n USING (entry)"
        " WHERE e.bank_id = %(bank)s AND e.entry_id = h.entry_id AND n.known AND NOT n.same",
        names,
    )
    await conn.execute(
        "INSERT INTO bank_hashes (entry_id, kind, part, hash)"
        " SELECT e.entry_id, h.kind, h.part, h.hash FROM news_hashes h JOIN news n USING (entry)"
        " JOIN bank_entries e ON e.bank_id = %(bank)s AND e.entry = n.entry WHERE NOT n.same",
        names,
    )
    return removed.rowcount


async def _rows(conn: Connection, where: str, values: Sequence[object]) -> list[EntryRow]:
    async with conn.cursor(row_factory=class_row(EntryRow)) as cursor:
        await cursor.execute(
            "SELECT e.entry_id, b.tenant, b.bank, b.enabled AS bank_enabled, e.entry, e.labels, e.opinion, e.enabled,"  # noqa: S608
            " e.source, e.added_by, e.added_at, coalesce(s.seen, 0) AS seen, s.last_seen,"
            " ARRAY(SELECT DISTINCT kind FROM bank_hashes h WHERE h.entry_id = e.entry_id ORDER BY kind) AS kinds"
            " FROM bank_entries e JOIN banks b USING (bank_id) LEFT JOIN bank_seen s USING (entry_id)"
            f" WHERE {where}",
            list(values),
        )
        return await cursor.fetchall()


async def _changed(conn: Connection, bank_id: int, who: str) -> None:
    await conn.execute("UPDATE banks SET changed_by = %s, changed_at = now() WHERE bank_id = %s", [who, bank_id])


def _require(found: int, bank: str, entry: str) -> None:
    if not found:
        raise NotFound(f"the bank {bank!r} has no entry {entry!r}", reason="ENTRY_UNKNOWN")


def _subject(tenant: str | None, bank: str) -> str:
    return f"{tenant or '*'}/{bank}"
