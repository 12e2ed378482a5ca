"""Cases that wait: held prompts in one queue, recorded five a second until now, of as many accounts as there are."""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from services.core.store.review_items import REASONS
from services.core.verdicts import Reason, Verdict

REASON = Reason("violence", "says why", 0.8, 0.7, Verdict.REVIEW)
ACCOUNTS = 50_000

_FILL = """
INSERT INTO review_items (item_id, decision_id, tenant, account, stage, verdict, reasons, held, sealed, state, queue,
    priority, created_at, due_at, turn_at)
SELECT gen_random_uuid(), gen_random_uuid(), 'acme', 'user-' || mod(n, %(accounts)s), 'prompt', 2, %(reasons)s, true,
    false, 'queued', 'default', 3 + 3 * mod(n, 2), at, at + interval '24 hours',
    at + (3 + 3 * mod(n, 2)) * interval '4 hours'
FROM generate_series(1, %(items)s) AS n, LATERAL (SELECT now() - n * interval '200 milliseconds' AS at) AS recorded
"""


def fill(conn: psycopg.Connection[Any], items: int) -> None:
    """Writes `items` of them into the queue "default" of the platform "acme"."""
    conn.execute(_FILL, {"accounts": ACCOUNTS, "reasons": reasons(), "items": items})


def reasons() -> Jsonb:
    """Why they wait, as the table has it."""
    return Jsonb(REASONS.dump_python((REASON,), mode="json"))
