"""Account links: which accounts of a tenant share a device or a means of payment, as hashes under the house's key."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from services.core.pseudonyms import Pseudonyms
from services.core.standing.ladder import Strike
from services.core.store.database import Connection

Link = tuple[str, bytes]

MOST_STRIKES = 10_000  # of a ring's latest: far more than any bound needs


@dataclass(frozen=True, slots=True)
class Known:
    """What stands against an account that is linked to others: its strikes, and whether it is suspended or banned."""

    shut_out: bool
    strikes: list[Strike] = field(default_factory=list[Strike])


async def add(conn: Connection, key: Pseudonyms, tenant: str, account: str, hashes: Sequence[bytes]) -> bool:
    """Adds what an account shares, as the platform hashed it; True where something of it was not known.

    Each is hashed once more under `key`: the table alone links nothing to the platform's own data.
    """
    if not hashes:
        return False
    cursor = await conn.execute(
        "INSERT INTO account_links (tenant, account, hash) SELECT %s, %s, hash FROM unnest(%s::bytea[]) AS hash"
        " ON CONFLICT DO NOTHING",
        [tenant, account, sorted({key.of(tenant, shared.hex()) for shared in hashes})],
    )
    return cursor.rowcount > 0


async def around(conn: Connection, tenant: str, account: str, shared_by: int, size: int) -> list[Link]:
    """The links (account, hash) around an account, as far as `services.core.anomalies.rings.ring` can walk.

    Of what more than `shared_by` accounts share, `shared_by` + 1 links are read and nothing beyond them.
    """
    known: dict[Link, None] = {}
    walked: set[str] = set()
    edge = [account]
    while edge and len(walked) < size:
        walked.update(edge)
        cursor = await conn.execute(
            """
            SELECT sharer.account, mine.hash
            FROM (
                SELECT DISTINCT hash FROM account_links WHERE tenant = %(tenant)s AND account = ANY(%(edge)s)
            ) AS mine,
                LATERAL (
                    SELECT account FROM account_links
                    WHERE tenant = %(tenant)s AND hash = mine.hash ORDER BY account LIMIT %(most)s
                ) AS sharer
            """,
            {"tenant": tenant, "edge": edge, "most": shared_by + 1},
        )
        found: list[Link] = await cursor.fetchall()
        known |= dict.fromkeys(found)
        sharers: dict[bytes, set[str]] = {}
        for who, what in found:
            sharers.setdefault(what, set()).add(who)
        telling = (who for accounts in sharers.values() if len(accounts) <= shared_by for who in accounts)
        edge = sorted(set(telling) - walked)[: size - len(walked)]
    return list(known)


async def sharers(conn: Connection, tenant: str, account: str, most: int) -> int:
    """With how many other accounts an account shares something; beyond `most` it is `most` + 1 or more."""
    cursor = await conn.execute(
        """
        SELECT count(DISTINCT sharer.account) FROM account_links AS mine, LATERAL (
            SELECT account FROM account_links
            WHERE tenant = mine.tenant AND hash = mine.hash AND account <> mine.account LIMIT %(most)s + 1
        ) AS sharer
        WHERE mine.tenant = %(tenant)s AND mine.account = %(account)s
        """,
        {"tenant": tenant, "account": account, "most": most},
    )
    row = await cursor.fetchone()
    assert row is not None, "an aggregate has a row"
    return int(row[0])


async def members(conn: Connection, tenant: str, accounts: Collection[str], since: datetime) -> dict[str, Known]:
    """Each of these accounts that is known, with its strikes since a time that were not taken back."""
    cursor = await conn.execute(
        "SELECT account, standing IN ('suspended', 'banned') FROM accounts WHERE tenant = %s AND account = ANY(%s)",
        [tenant, list(accounts)],
    )
    known = {account: Known(shut_out) for account, shut_out in await cursor.fetchall()}
    cursor = await conn.execute(
        "SELECT account, decision_id, at, weight, category, sealed FROM strikes"
        " WHERE tenant = %s AND account = ANY(%s) AND at >= %s"
        " AND NOT EXISTS (SELECT FROM strike_reversals r WHERE r.strike_id = strikes.strike_id)"
        " ORDER BY at DESC LIMIT %s",
        [tenant, list(known), since, MOST_STRIKES],
    )
    for account, *strike in await cursor.fetchall():
        known[account].strikes.append(Strike(*strike))
    return known
