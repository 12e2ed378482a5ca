"""What really happened, by the books in Postgres: the house's own word counts for nothing here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg.rows import dict_row

from benchmarks.chaos.traffic import Request
from services.core.clearance import digest

Row = dict[str, Any]
COST = {"create": 1, "held": 1, "violating": 1, "variation": 1, "edit": 1, "check": 0}


@dataclass(slots=True)
class Findings:
    """Breaches of what must never happen, each by the fault under which its request began; all are to be empty."""

    unchecked: list[str]
    lost: list[str]
    charged_twice: list[str]
    wrong_tenant: list[str]
    unanswered: list[str]
    not_charged: list[str]
    undelivered: list[str]


def audit(dsn: str, requests: Sequence[Request]) -> Findings:
    """Lays what callers were told beside what is written."""
    with psycopg.connect(dsn, row_factory=dict_row) as conn:
        ids = [request.request_id for request in requests]
        decided = _by_request(conn, "SELECT * FROM decisions WHERE request_id = ANY(%s::uuid[])", ids)
        pictures = _by(conn, "image_id", "SELECT * FROM images")
        items = _by(conn, "item_id", "SELECT item_id, decision_id, state FROM review_items")
        shut = {
            (str(r["decision_id"]), r["output"]) for r in conn.execute("SELECT * FROM stops WHERE stage = 'output'")
        }
        used = {
            (r["tenant"], r["account"]): r["used"] for r in conn.execute("SELECT tenant, account, used FROM credits")
        }
    owners = {str(row["decision_id"]): request_id for request_id, rows in decided.items() for row in rows}
    found = Findings([], [], [], [], [], [], [])
    for request in requests:
        rows = decided.get(request.request_id, [])
        if not request.answered:
            found.unanswered.append(request.row)
        elif not _is_written(request, rows) or any(item not in items for item in request.held):
            found.lost.append(request.row)
        if any(items[item]["state"] == "pending" for item in request.held if item in items):
            found.undelivered.append(request.row)
        if not _pictures_were_checked(request, rows, pictures, shut):
            found.unchecked.append(request.row)
        named = owners.get(request.decision_id, request.request_id)
        if named != request.request_id or any(not _is_ours(request, row) for row in rows):
            found.wrong_tenant.append(request.row)
        paid = used.get((request.tenant, request.account), 0)
        due = COST[request.kind] if request.rendered else 0
        if paid > (due if request.answered else COST[request.kind]) or len(rows) > 1:
            found.charged_twice.append(request.row)
        elif request.answered and paid < due:
            found.not_charged.append(request.row)
    return found


def _is_written(request: Request, rows: Sequence[Row]) -> bool:
    return [str(row["decision_id"]) for row in rows] == [request.decision_id]


def _is_ours(request: Request, row: Row) -> bool:
    """The decision is this tenant's and account's, about these very words."""
    about = row["digests"].get("prompt")
    same = not request.prompt or about is None or about == digest(request.prompt.encode())
    return (row["tenant"], row["account"]) == (request.tenant, request.account) and same


def _pictures_were_checked(
    request: Request, rows: Sequence[Row], pictures: dict[str, Row], shut: set[tuple[str, int]]
) -> bool:
    """Every picture that came belongs to a decision that screened it, was registered, and was not stopped."""
    if not request.images:
        return True
    if request.kind in ("violating", "held") or len(rows) != 1:
        return False
    decision = str(rows[0]["decision_id"])
    screened = sum(key.startswith("output") for key in rows[0]["digests"])
    registered = [pictures.get(image) for image in request.images]
    known = all(row is not None and str(row["decision_id"]) == decision for row in registered)
    return known and screened >= len(set(request.images)) and (decision, 0) not in shut


def _by(conn: psycopg.Connection[Any], key: str, query: str) -> dict[str, Row]:
    return {str(row[key]): row for row in conn.execute(query)}


def _by_request(conn: psycopg.Connection[Any], query: str, ids: list[str]) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = {}
    for row in conn.execute(query, [ids]):
        found.setdefault(str(row["request_id"]), []).append(row)
    return found
