"""A desk that has worked for months: `past.sql`, written by Postgres itself, so that a million cases take minutes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psycopg

from benchmarks.house import waiting

SCRIPT = Path(__file__).with_suffix(".sql")
ANALYSTS = 50
BUSY = "busy"  # an account that has a hundredth of all settled cases


def fill(conn: psycopg.Connection[Any], items: int) -> None:
    """Writes `items` cases, three of ten of them waiting, and what comes with so many; `conn` commits by itself."""
    wait = items * 3 // 10
    waiting.fill(conn, wait)
    values = {
        "items": items,
        "waiting": wait,
        "settled": items - wait,
        "accounts": waiting.ACCOUNTS,
        "analysts": ANALYSTS,
        "busy": BUSY,
        "reasons": waiting.reasons(),
    }
    # A script of many statements takes its values on this side alone.
    psycopg.ClientCursor(conn).execute(SCRIPT.read_text(encoding="utf-8"), values)
    conn.execute("VACUUM ANALYZE")
    conn.execute("CHECKPOINT")
