"""Banks of people in Postgres: public figures that an operator adds to the house's own gazetteer, for every tenant."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass

import psycopg

from services.core.errors import InvalidInput, NotFound, Unavailable
from services.core.store import audit
from services.core.store.database import CONNECTION, Connection, place_of
from services.core.store.terms import NAME, Difference

_PAGE = 5_000
_SAME = (
    "(p.bank, p.entry, p.name, p.aliases, p.score) = (n.bank, n.entry, n.name, n.aliases, n.score)"
    " AND p.died IS NOT DISTINCT FROM n.died"
)


@dataclass(frozen=True, slots=True)
class PersonRow:
    """A public figure under the id of its source; `died` is a year, None while alive; `score` 0…1 of a match."""

    entry: str
    name: str
    aliases: tuple[str, ...]
    died: int | None
    score: float


async def versions(conn: Connection) -> dict[str, int]:
    """Bank → a number that is another after every change of it."""
    rows = await (await conn.execute("SELECT bank, changes FROM people_banks ORDER BY bank")).fetchall()
    return dict(rows)


def stream(dsn: str) -> Iterator[PersonRow]:
    """Everybody in all banks, in order, page by page on a connection of its own; blocking.

    Raises Unavailable if Postgres is not there or goes away.
    """
    try:
        with psycopg.connect(dsn, **CONNECTION) as conn, conn.cursor("people") as cursor:
            cursor.itersize = _PAGE
            cursor.execute("SELECT entry, name, aliases, died, score FROM people ORDER BY bank, entry")
            for entry, name, aliases, died, score in cursor:
                yield PersonRow(entry, name, tuple(aliases), died, score)
    except psycopg.OperationalError as error:
        raise Unavailable(f"Postgres does not answer ({place_of(dsn)})", reason="DATABASE_UNAVAILABLE") from error


async def load(conn: Connection, bank: str, like: str, limit: int) -> list[PersonRow]:
    """Up to `limit` entries of a bank whose name or id contains `like` (any case), by name."""
    rows = await conn.execute(
        "SELECT entry, name, aliases, died, score FROM people"
        " WHERE bank = %s AND strpos(lower(entry || ' ' || name), lower(%s)) > 0 ORDER BY name, entry LIMIT %s",
        [bank, like, limit],
    )
    return [
        PersonRow(entry, name, tuple(others), died, score) for entry, name, others, died, score in await rows.fetchall()
    ]


async def replace(conn: Connection, bank: str, people: Iterable[PersonRow], who: str) -> Difference:
    """Makes `people`, each entry once, all that a bank holds, and records who did; a bank that is new is made.

    Raises InvalidInput for a bank name outside [a-z0-9-]{1,64}.
    """
    if not NAME.fullmatch(bank):
        raise InvalidInput("bank", "1 to 64 characters of a-z, 0-9 and - are allowed")
    await conn.execute("SET LOCAL statement_timeout = '10min'")
    await conn.execute(
        "INSERT INTO people_banks (bank, changed_by) VALUES (%s, %s) ON CONFLICT (bank)"
        " DO UPDATE SET changed_by = excluded.changed_by, changed_at = now()",
        [bank, who],
    )
    await conn.execute("CREATE TEMPORARY TABLE news (LIKE people)")
    async with conn.cursor() as cursor, cursor.copy("COPY news FROM STDIN") as copy:
        for row in people:
            await copy.write_row((bank, row.entry, row.name, list(row.aliases), row.died, row.score))
    await conn.execute("ANALYZE news")
    counts = await conn.execute(
        "SELECT count(*) FILTER (WHERE p.entry IS NULL),"  # noqa: S608 nothing but constants
        f" count(*) FILTER (WHERE p.entry IS NOT NULL AND NOT ({_SAME})), count(*) FILTER (WHERE {_SAME}),"
        " (SELECT count(*) FROM people WHERE bank = %s)"
        " FROM news n LEFT JOIN people p ON p.bank = n.bank AND p.entry = n.entry",
        [bank],
    )
    added, changed, same, before = await counts.fetchone() or (0, 0, 0, 0)
    difference = Difference(added, changed, before - changed - same, same)
    if added or changed or difference.removed:
        await conn.execute(
            f"DELETE FROM people p WHERE bank = %s AND NOT EXISTS (SELECT FROM news n WHERE {_SAME})",  # noqa: S608
            [bank],
        )
        await conn.execute(
            "INSERT INTO people SELECT * FROM news n WHERE NOT EXISTS"
            " (SELECT FROM people p WHERE p.bank = n.bank AND p.entry = n.entry)"
        )
    await conn.execute("DROP TABLE news")
    await audit.append(conn, who, "banks.import_people", bank, **asdict(difference))
    return difference


async def remove(conn: Connection, bank: str, who: str) -> int:
    """Removes a bank with everybody in it and returns how many; NotFound where there is none."""
    await conn.execute("SET LOCAL statement_timeout = '10min'")
    gone = await conn.execute("DELETE FROM people WHERE bank = %s", [bank])
    banks = await conn.execute("DELETE FROM people_banks WHERE bank = %s", [bank])
    if not banks.rowcount:
        raise NotFound(f"there is no bank of people {bank!r}", reason="BANK_UNKNOWN")
    await audit.append(conn, who, "banks.remove_people", bank, removed=gone.rowcount)
    return gone.rowcount
