"""Banks of all kinds as a page lists them: with counts that stop at a bound, and words and people a page at a time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from psycopg.rows import class_row

from services.core.errors import NotFound
from services.core.store.database import Connection
from services.core.store.people import PersonRow
from services.core.store.terms import Term

BankKind = Literal["words", "people", "images"]

# Nobody reads further; what is more is told as "more than".
MOST_COUNTED = 10_000
MOST_BANKS = 500
# How many entries one page of a search looks through.
LOOKED = 50_000

_COUNTED = "(SELECT count(*) FROM (SELECT FROM {} LIMIT %(most)s + 1) AS counted)"
_WORDS = _COUNTED.format("terms t WHERE (t.tenant, t.bank) = (b.tenant, b.bank)")
_PEOPLE = _COUNTED.format("people p WHERE p.bank = b.bank")
_IMAGES = _COUNTED.format("bank_entries e WHERE e.bank_id = b.bank_id")
_ENTRIES = {
    "people": "people WHERE bank = %(bank)s",
    "images": "bank_entries WHERE bank_id = (SELECT bank_id FROM banks"
    " WHERE tenant IS NOT DISTINCT FROM %(tenant)s AND bank = %(bank)s)",
}


@dataclass(frozen=True, slots=True)
class Listed:
    """A bank; `tenant` None: it is the house's, for all. `entries` is at most MOST_COUNTED + 1.

    Only banks of images can be switched off, and say what they are for.
    """

    kind: BankKind
    tenant: str | None
    bank: str
    entries: int
    enabled: bool
    description: str
    changed_by: str
    changed_at: datetime


async def banks(conn: Connection) -> list[Listed]:
    """The first MOST_BANKS banks of all kinds, those of the house first."""
    return await _listed(conn, "ORDER BY kind, tenant NULLS FIRST, bank LIMIT %(banks)s", {"banks": MOST_BANKS})


async def bank(conn: Connection, kind: BankKind, tenant: str | None, name: str) -> Listed:
    """One bank; raises NotFound where there is none."""
    named = "WHERE kind = %(kind)s AND tenant IS NOT DISTINCT FROM %(tenant)s AND bank = %(bank)s"
    found = await _listed(conn, named, {"kind": kind, "tenant": tenant, "bank": name})
    if not found:
        raise NotFound(f"there is no bank of {kind} {name!r} here", reason="BANK_UNKNOWN")
    return found[0]


async def words(conn: Connection, tenant: str, bank: str, like: str, after: tuple[str, str], limit: int) -> list[Term]:
    """Up to `limit` terms of a bank that contain `like` (any case), by kind and term, from `after` one on."""
    cursor = await conn.execute(
        "SELECT term, kind, category, score, distance, near, not_near, within FROM terms"
        " WHERE tenant = %s AND bank = %s AND strpos(lower(term || ' ' || category), lower(%s)) > 0"
        " AND (kind, term) > (%s, %s) ORDER BY kind, term LIMIT %s",
        [tenant, bank, like, *after, limit],
    )
    return [
        Term(term, kind, category, score, distance, tuple(near), tuple(not_near), within)
        for term, kind, category, score, distance, near, not_near, within in await cursor.fetchall()
    ]


async def look_ends(conn: Connection, kind: BankKind, tenant: str | None, bank: str, after: str) -> str | None:
    """The entry with which a page of a search that begins `after` one ends, None where it comes to the bank's end.

    50,000 entries further, so that what is rare takes pages to find instead of one long wait; a bank of words never
    has so many more.
    """
    if kind == "words":
        return None
    cursor = await conn.execute(
        f"SELECT entry FROM {_ENTRIES[kind]} AND entry > %(after)s ORDER BY entry OFFSET %(looked)s - 1 LIMIT 1",  # noqa: S608
        {"tenant": tenant, "bank": bank, "after": after, "looked": LOOKED},
    )
    row = await cursor.fetchone()
    return row[0] if row else None


async def people(
    conn: Connection, bank: str, like: str, after: str, limit: int, until: str | None = None
) -> list[PersonRow]:
    """Up to `limit` people of a bank whose names or id contain `like` (any case), by id, from `after` one on.

    Nobody is looked at after `until`, where that is named.
    """
    cursor = await conn.execute(
        "SELECT entry, name, aliases, died, score FROM people WHERE bank = %s"
        " AND strpos(lower(entry || ' ' || name || ' ' || array_to_string(aliases, ' ')), lower(%s)) > 0"
        " AND entry > %s AND entry <= coalesce(%s, entry) ORDER BY entry LIMIT %s",
        [bank, like, after, until, limit],
    )
    return [
        PersonRow(entry, name, tuple(aliases), died, score)
        for entry, name, aliases, died, score in await cursor.fetchall()
    ]


async def _listed(conn: Connection, which: str, values: dict[str, object]) -> list[Listed]:
    async with conn.cursor(row_factory=class_row(Listed)) as cursor:
        await cursor.execute(
            f"SELECT * FROM (SELECT 'words' AS kind, tenant, bank, {_WORDS} AS entries, true AS enabled,"  # noqa: S608
            " '' AS description, changed_by, changed_at FROM term_banks b"
            f" UNION ALL SELECT 'people', NULL, bank, {_PEOPLE}, true, '', changed_by, changed_at FROM people_banks b"
            f" UNION ALL SELECT 'images', tenant, bank, {_IMAGES}, enabled, description, changed_by, changed_at"
            f" FROM banks b) AS listed {which}",
            {"most": MOST_COUNTED, **values},
        )
        return await cursor.fetchall()
