"""What was used of rates and of calls at once: one statement of two UPSERTs, all or nothing, by the clock of Postgres.

Gateways agree because Postgres alone keeps the state and tells the time; the arithmetic is that of
services/core/limits/gcra.py, said once more in SQL because it must happen under the row's lock. A statement that could
not take everything fails as a whole. Rows are locked in the order of their keys, buckets before slots, so that no two
statements wait for each other, and never while a gateway thinks. The answer has the shape of redis-cell's
(CL.THROTTLE): whether, and if not, from when on.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from psycopg.errors import RaiseException

from services.core.limits.gcra import TOLERANCE_SECONDS
from services.core.store.database import Connection, Lane

LEASE_SECONDS = 150.0  # longer than the longest deadline of a call
IDLE_SECONDS = 24 * 3600.0

_TAKE = """
WITH taken AS (
    INSERT INTO limit_buckets AS old (key, tat, cost, depth)
    SELECT key, limit_now() + cost, cost, depth
    FROM unnest(%(keys)s::text[], %(costs)s::float8[], %(depths)s::float8[]) AS asked (key, cost, depth) ORDER BY key
    ON CONFLICT (key) DO UPDATE SET
        tat = limit_base(old.tat, excluded.depth, limit_now()) + excluded.cost,
        cost = excluded.cost, depth = excluded.depth
    WHERE excluded.cost <= 0 OR limit_base(old.tat, excluded.depth, limit_now()) + excluded.cost
        <= limit_now() + excluded.depth + %(tolerance)s
    RETURNING key, tat
), held AS (
    INSERT INTO limit_slots AS old (key, held)
    SELECT key, jsonb_build_object(%(me)s::text, jsonb_build_array(calls, limit_now() + %(lease)s))
    FROM unnest(%(slots)s::text[], %(calls)s::bigint[]) AS asked (key, calls) ORDER BY key
    ON CONFLICT (key) DO UPDATE SET held = limit_held(old.held, %(lease)s, limit_now()) || excluded.held
    WHERE (excluded.held->%(me)s->>0)::bigint <= coalesce((old.held->%(me)s->>0)::bigint, 0)
        OR (excluded.held->%(me)s->>0)::bigint + limit_others(old.held, %(me)s, %(lease)s, limit_now())
            <= (SELECT most FROM unnest(%(slots)s::text[], %(most)s::bigint[]) AS asked (key, most)
                WHERE asked.key = excluded.key)
    RETURNING key
), done AS (SELECT key, tat FROM taken UNION ALL SELECT key, NULL FROM held)
SELECT key, tat, limit_now() FROM (SELECT key, tat, count(*) OVER () AS found FROM done) AS counted
WHERE limit_all(found, cardinality(%(keys)s::text[]) + cardinality(%(slots)s::text[]))
"""

_READ = """
SELECT key, tat, NULL::bigint, limit_now() FROM limit_buckets WHERE key = ANY(%(buckets)s) UNION ALL
SELECT key, NULL, limit_others(held, %(me)s, %(lease)s, limit_now()), limit_now() FROM limit_slots
WHERE key = ANY(%(slots)s) UNION ALL
SELECT NULL, NULL, NULL, limit_now()
"""


@dataclass(frozen=True, slots=True)
class Truth:
    """How it stood at `now` by Postgres' clock: buckets by key, and calls that others run by key."""

    now: float
    tats: Mapping[str, float]
    others: Mapping[str, int]


async def take(
    lane: Lane, costs: Mapping[str, tuple[float, float]], slots: Mapping[str, tuple[int, int]], me: str
) -> Truth | None:
    """Takes from all buckets and slots and says where the buckets stand, or takes from none (None).

    `costs` maps a key to seconds to take (negative: to give back; at most the depth) and the bucket's depth; `slots`
    a key to the calls that the gateway `me` runs in all, and the most that all gateways may. One of them is not empty.
    """
    parameters = {
        "keys": list(costs),
        "costs": [cost for cost, _ in costs.values()],
        "depths": [depth for _, depth in costs.values()],
        "slots": list(slots),
        "calls": [calls for calls, _ in slots.values()],
        "most": [most for _, most in slots.values()],
        "me": me,
        "lease": LEASE_SECONDS,
        "tolerance": TOLERANCE_SECONDS,
    }
    try:
        rows = await lane.fetch(_TAKE, parameters)
    except RaiseException:
        return None
    if not rows:  # nothing at all was found, and so nothing taken
        return None
    return Truth(rows[-1][2], {key: tat for key, tat, _ in rows if tat is not None}, {})


async def read(lane: Lane, buckets: Collection[str], slots: Collection[str], me: str) -> Truth:
    """Where these buckets stand, and how many calls others than `me` run; keys that nobody used are left out."""
    parameters = {"buckets": list(buckets), "slots": list(slots), "me": me, "lease": LEASE_SECONDS}
    rows = await lane.fetch(_READ, parameters)
    tats = {key: tat for key, tat, _, _ in rows if tat is not None}
    others = {key: calls for key, _, calls, _ in rows if calls is not None}
    return Truth(rows[-1][3], tats, others)


async def forget_idle(conn: Connection) -> None:
    """Deletes what stands for nothing any more: full buckets, and slots that nobody holds."""
    await conn.execute("DELETE FROM limit_buckets WHERE tat < limit_now() - %s", [IDLE_SECONDS])
    await conn.execute("DELETE FROM limit_slots WHERE limit_held(held, %s, limit_now()) = '{}'", [LEASE_SECONDS])
