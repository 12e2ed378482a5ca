"""Banks of terms in Postgres: what a tenant forbids or excepts, by bank."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Literal

from psycopg.rows import class_row

from services.core.errors import InvalidInput, NotFound
from services.core.store import audit
from services.core.store.database import Connection

NAME = re.compile(r"[a-z0-9-]{1,64}")  # of a bank
CHANNEL = "word_banks"  # notified at the end of every transaction that changed terms or people
MOST_TERMS = 100_000  # of one tenant, in all banks

TermKind = Literal["exact", "fuzzy", "re2", "exception"]
_COLUMNS = "term, kind, category, score, distance, near, not_near, within"


@dataclass(frozen=True, slots=True)
class Term:
    """An entry: `category` and `score` 0…1 of its signal, none of an exception.

    `distance` edits are forgiven to a fuzzy one; one of `near` must, none of `not_near` may stand `within` so many
    words on either side.
    """

    term: str
    kind: TermKind = "exact"
    category: str = ""
    score: float = 0.0
    distance: int = 0
    near: tuple[str, ...] = ()
    not_near: tuple[str, ...] = ()
    within: int = 5

    @property
    def key(self) -> tuple[str, str]:
        """What an entry is known by in its bank."""
        return self.kind, self.term


@dataclass(frozen=True, slots=True)
class Bank:
    """A bank as a list shows it; no tenant: a bank of people, the house's own."""

    tenant: str | None
    bank: str
    entries: int
    changed_by: str
    changed_at: datetime


@dataclass(frozen=True, slots=True)
class Difference:
    """What an import changes, in entries."""

    added: int
    changed: int
    removed: int
    same: int = 0


async def versions(conn: Connection) -> dict[tuple[str, str], int]:
    """(tenant, bank) → a number that is another after every change of the bank."""
    rows = await (await conn.execute("SELECT tenant, bank, changes FROM term_banks")).fetchall()
    return {(tenant, bank): changes for tenant, bank, changes in rows}


async def load(conn: Connection, tenant: str, bank: str) -> list[Term]:
    """The terms of a bank, in order; none where there is no such bank."""
    cursor = await conn.execute(
        f"SELECT {_COLUMNS} FROM terms WHERE tenant = %s AND bank = %s ORDER BY kind, term",  # noqa: S608
        [tenant, bank],
    )
    return [
        Term(term, kind, category, score, distance, tuple(near), tuple(not_near), within)
        for term, kind, category, score, distance, near, not_near, within in await cursor.fetchall()
    ]


async def replace(conn: Connection, tenant: str, bank: str, terms: Sequence[Term], who: str) -> Difference:
    """Makes `terms` all that a bank holds, and records who did; a bank that is new is made.

    Raises InvalidInput for a bank name outside [a-z0-9-]{1,64} or too many terms, NotFound for an unknown tenant.
    """
    if not NAME.fullmatch(bank):
        raise InvalidInput("bank", "1 to 64 characters of a-z, 0-9 and - are allowed")
    known = await conn.execute("SELECT FROM tenants WHERE tenant = %s FOR UPDATE", [tenant])
    if await known.fetchone() is None:
        raise NotFound(f"there is no tenant {tenant!r}", reason="TENANT_UNKNOWN")
    others = await conn.execute("SELECT count(*) FROM terms WHERE tenant = %s AND bank <> %s", [tenant, bank])
    row = await others.fetchone()
    if row and row[0] + len(terms) > MOST_TERMS:
        raise InvalidInput("terms", f"a tenant may have {MOST_TERMS:,} in all its banks")
    await conn.execute(
        "INSERT INTO term_banks (tenant, bank, changed_by) VALUES (%s, %s, %s) ON CONFLICT (tenant, bank)"
        " DO UPDATE SET changed_by = excluded.changed_by, changed_at = now()",
        [tenant, bank, who],
    )
    before = {term.key: term for term in await load(conn, tenant, bank)}
    wanted = {term.key: term for term in terms}
    fresh = [term for key, term in wanted.items() if before.get(key) != term]
    gone = [key for key in before if key not in wanted or before[key] != wanted[key]]
    if gone:
        await conn.execute(
            "DELETE FROM terms WHERE tenant = %s AND bank = %s"
            " AND (kind, term) IN (SELECT * FROM unnest(%s::text[], %s::text[]))",
            [tenant, bank, [kind for kind, _ in gone], [term for _, term in gone]],
        )
    if fresh:
        into = f"COPY terms (tenant, bank, {_COLUMNS}) FROM STDIN"
        async with conn.cursor() as cursor, cursor.copy(into) as copy:
            for term in fresh:
                await copy.write_row((tenant, bank, *_row(term)))
    difference = Difference(
        added=sum(term.key not in before for term in fresh),
        changed=sum(term.key in before for term in fresh),
        removed=sum(key not in wanted for key in before),
        same=len(wanted) - len(fresh),
    )
    await audit.append(conn, who, "banks.import", f"{tenant}/{bank}", **asdict(difference))
    return difference


async def remove(conn: Connection, tenant: str, bank: str, who: str) -> int:
    """Removes a bank with all its terms and returns how many; NotFound where there is none."""
    gone = await conn.execute("DELETE FROM terms WHERE tenant = %s AND bank = %s", [tenant, bank])
    banks = await conn.execute("DELETE FROM term_banks WHERE tenant = %s AND bank = %s", [tenant, bank])
    if not banks.rowcount:
        raise NotFound(f"the tenant {tenant!r} has no bank {bank!r}", reason="BANK_UNKNOWN")
    await audit.append(conn, who, "banks.remove", f"{tenant}/{bank}", removed=gone.rowcount)
    return gone.rowcount


async def banks(conn: Connection) -> list[Bank]:
    """All banks of terms and of people, each with its last change."""
    async with conn.cursor(row_factory=class_row(Bank)) as cursor:
        await cursor.execute(
            "SELECT NULL AS tenant, bank, (SELECT count(*) FROM people p WHERE p.bank = b.bank) AS entries,"
            " changed_by, changed_at FROM people_banks b"
            " UNION ALL SELECT tenant, bank, (SELECT count(*) FROM terms t"
            " WHERE (t.tenant, t.bank) = (b.tenant, b.bank)), changed_by, changed_at FROM term_banks b"
            " ORDER BY tenant NULLS FIRST, bank"
        )
        return await cursor.fetchall()


def _row(term: Term) -> Iterable[object]:
    near, not_near = list(term.near), list(term.not_near)
    return term.term, term.kind, term.category, term.score, term.distance, near, not_near, term.within
