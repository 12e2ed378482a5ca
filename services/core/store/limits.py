"""What was used of rates and of calls at once: two UPSERTs, all or nothing, by the clock of Postgres.

Gateways agree because Postgres alone keeps the state and tells the time; the arithmetic is that of
services/core/limits/gcra.py, said once more in SQL because it must happen under the row's lock. Rows are locked in the
order of their keys, buckets before slots, so that no two calls wait for each other. The answer has the shape of
redis-cell's (CL.THROTTLE): whether, and if not, from when on.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from services.core.limits.gcra import TOLERANCE_SECONDS
from services.core.store.database import Connection

LEASE_SECONDS = 150.0  # longer than the longest deadline of a call
IDLE_SECONDS = 24 * 3600.0

# The limits' tables are never flushed, so waiting for the disk would be for nothing; and a gateway that stops between
# two statements must not hold rows that all others want.
_LIGHTLY = (
    "SELECT set_config('synchronous_commit', 'off', true),"
    " set_config('idle_in_transaction_session_timeout', '2s', true)"
)

_TAKE = """
INSERT INTO limit_buckets AS old (key, tat, cost, depth)
SELECT key, limit_now() + cost, cost, depth
FROM unnest(%(keys)s::text[], %(costs)s::float8[], %(depths)s::float8[]) AS asked (key, cost, depth) ORDER BY key
ON CONFLICT (key) DO UPDATE SET
    tat = limit_base(old.tat, excluded.depth, limit_now()) + excluded.cost, cost = excluded.cost, depth = excluded.depth
WHERE excluded.cost <= 0 OR limit_base(old.tat, excluded.depth, limit_now()) + excluded.cost
    <= limit_now() + excluded.depth + %(tolerance)s
RETURNING key, tat, limit_now()
"""

_HOLD = """
INSERT INTO limit_slots AS old (key, held)
SELECT key, jsonb_build_object(%(me)s::text, jsonb_build_array(calls, limit_now() + %(lease)s))
FROM unnest(%(keys)s::text[], %(calls)s::bigint[]) AS asked (key, calls) ORDER BY key
ON CONFLICT (key) DO UPDATE SET held = limit_held(old.held, %(lease)s, limit_now()) || excluded.held
WHERE (excluded.held->%(me)s->>0)::bigint <= coalesce((old.held->%(me)s->>0)::bigint, 0)
    OR (excluded.held->%(me)s->>0)::bigint + limit_others(old.held, %(me)s, %(lease)s, limit_now())
        <= (SELECT most FROM unnest(%(keys)s::text[], %(most)s::bigint[]) AS asked (key, most)
            WHERE asked.key = excluded.key)
RETURNING key
"""


@dataclass(frozen=True, slots=True)
class Taken:
    """How it stands now: the buckets by key, calls that others run by key, and Postgres' clock (None: not asked).

    `refused` names the keys whose limit was passed; where there are any, nothing may be kept: roll back.
    """

    now: float | None
    tats: Mapping[str, float]
    others: Mapping[str, int]
    refused: frozenset[str]


async def take(
    conn: Connection, costs: Mapping[str, tuple[float, float]], slots: Mapping[str, tuple[int, int]], me: str
) -> Taken:
    """Takes from all buckets and slots, or from none: the caller rolls back where `refused` is not empty.

    `costs` maps a key to seconds to take (negative: to give back; at most the depth) and the bucket's depth; `slots`
    a key to the calls that the gateway `me` runs in all, and the most that all gateways may.
    """
    keys, held = list(costs), list(slots)
    tats: dict[str, float] = {}
    kept: set[str] = set()
    now: float | None = None
    async with conn.pipeline():
        await conn.execute(_LIGHTLY)
        buckets = holders = None
        if keys:
            asked: dict[str, object] = {
                "tolerance": TOLERANCE_SECONDS,
                "keys": keys,
                "costs": [c for c, _ in costs.values()],
                "depths": [d for _, d in costs.values()],
            }
            buckets = await conn.execute(_TAKE, asked)
        if held:
            running = {"keys": held, "calls": [n for n, _ in slots.values()], "most": [m for _, m in slots.values()]}
            holders = await conn.execute(_HOLD, {**running, "me": me, "lease": LEASE_SECONDS})
    if buckets is not None:
        for key, tat, now in await buckets.fetchall():  # noqa: B007 - the last row's clock is the latest
            tats[key] = tat
    if holders is not None:
        kept = {key for (key,) in await holders.fetchall()}
    refused = (costs.keys() - tats.keys()) | (slots.keys() - kept)
    if not refused:
        return Taken(now, tats, {}, frozenset())
    clock, truth, others = await read(conn, costs.keys() - tats.keys(), slots.keys() - kept, me)
    return Taken(clock, truth, others, frozenset(refused))


async def read(
    conn: Connection, buckets: Collection[str], slots: Collection[str], me: str
) -> tuple[float, dict[str, float], dict[str, int]]:
    """Postgres' clock, where the buckets stand, and how many calls others than `me` run; unknown keys are left out."""
    cursor = await conn.execute(
        "SELECT limit_now(), key, tat, NULL FROM limit_buckets WHERE key = ANY(%(buckets)s) UNION ALL"
        " SELECT limit_now(), key, NULL, limit_others(held, %(me)s, %(lease)s, limit_now()) FROM limit_slots"
        " WHERE key = ANY(%(slots)s) UNION ALL SELECT limit_now(), NULL, NULL, NULL",
        {"buckets": list(buckets), "slots": list(slots), "me": me, "lease": LEASE_SECONDS},
    )
    rows = await cursor.fetchall()
    tats = {key: tat for _, key, tat, _ in rows if tat is not None}
    others = {key: calls for _, key, _, calls in rows if calls is not None}
    return rows[-1][0], tats, others


async def forget_idle(conn: Connection) -> None:
    """Deletes what stands for nothing any more: full buckets, and slots that nobody holds."""
    await conn.execute("DELETE FROM limit_buckets WHERE tat < limit_now() - %s", [IDLE_SECONDS])
    await conn.execute("DELETE FROM limit_slots WHERE limit_held(held, %s, limit_now()) = '{}'", [LEASE_SECONDS])
