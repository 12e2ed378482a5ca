"""What each room may do in Postgres: one role a room, each with the least that its code needs; the generator has none.

Migrations and `portcullis` commands run as the owner of the schema. The roles have no password: where Postgres asks for
one, an administrator gives it (or a login role of the room's own, in its role). `portcullis up` connects every room as
its role. What one role can do to another's tables is nothing, whatever statement somebody slips into it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

Verb = Literal["SELECT", "INSERT", "UPDATE", "DELETE"]

_POLICY = "policies policy_activations"
# A table, or `table(column,column)`: those columns alone. FOR UPDATE and FOR SHARE need UPDATE on one column.
GRANTS: Mapping[str, Mapping[Verb, str]] = {
    "gateway": {
        "SELECT": f"{_POLICY} account_links account_updates accounts anomalies api_keys appeals audit_chain"
        " audit_events credits decisions events evidence held_requests images limit_buckets limit_slots"
        " outbox reporters reports requests review_barred review_events review_items standing_changes"
        " standing_secret stops strike_reversals strikes tenants waitlist watches",
        "INSERT": "account_links account_updates accounts anomalies appeals audit_events credits decisions events"
        " evidence held_requests limit_buckets limit_slots outbox reporters reports requests review_barred"
        " review_events review_items standing_changes stops strikes waitlist watches",
        "UPDATE": "accounts audit_chain credits evidence(expires_at) held_requests images(created_at)"
        " limit_buckets limit_slots reports(item_id) requests review_items waitlist watches",
        "DELETE": "requests",
    },
    "prompt_filter": {
        "SELECT": f"{_POLICY} people people_banks prompt_model_trials prompt_models term_banks terms",
    },
    "image_filter": {
        "SELECT": f"{_POLICY} bank_entries bank_hashes bank_seen bank_state banks",
        "INSERT": "bank_seen",
        "UPDATE": "bank_seen",
    },
    "combo_filter": {"SELECT": _POLICY},
    "provenance": {
        "SELECT": f"{_POLICY} evidence(evidence_id) events image_embeddings image_hashes images owed_timestamps"
        " requests(decision_id,answer)",
        "INSERT": "events image_embeddings image_hashes images owed_timestamps",
        "UPDATE": "evidence(expires_at) images owed_timestamps(since)",
        "DELETE": "owed_timestamps",
    },
    # The desk, its worker, relay and notifier.
    "review": {
        "SELECT": f"{_POLICY} accounts anomalies appeals audit_chain audit_events decisions event_cursors events"
        " evidence golden_cases held_requests limit_buckets limit_slots login_attempts outbox reporters"
        " reports requests review_barred review_comments review_events review_items review_keys"
        " review_pieces review_previews review_rounds staff(name,roles,opt_out) standing_changes"
        " standing_secret stops strike_reversals strikes threshold_reports waitlist watches"
        " webhook_deliveries webhook_endpoints",
        "INSERT": "accounts audit_events event_cursors events outbox review_barred review_comments review_events"
        " review_items review_pieces review_previews review_rounds standing_changes strike_reversals"
        " strikes threshold_reports webhook_deliveries",
        "UPDATE": "accounts appeals audit_chain event_cursors events evidence(expires_at) outbox reporters reports"
        " review_barred review_items review_pieces review_rounds webhook_deliveries webhook_endpoints",
        "DELETE": "anomalies event_cursors events evidence limit_buckets limit_slots outbox requests review_barred"
        " review_pieces review_previews review_rounds stops watches webhook_deliveries",
    },
    # The desk for browsers, the people who work there, and what they may change.
    "console": {
        "SELECT": f"{_POLICY} account_links accounts anomalies api_keys(key_id,tenant,revoked_at) appeals"
        " audit_chain audit_events bank_entries bank_hashes bank_seen bank_state banks credits decisions"
        " events evidence golden_cases images limit_buckets limit_slots login_attempts outbox people"
        " people_banks prompt_model_trials prompt_models reporters reports requests(decision_id,answer)"
        " review_barred review_comments review_events review_items review_keys review_pieces"
        " review_previews review_rounds staff staff_invitations staff_recovery_codes staff_reveals"
        " staff_sessions standing_changes standing_secret stops strike_reversals strikes tenants"
        " term_banks terms threshold_reports waitlist",
        "INSERT": "audit_events events golden_cases login_attempts outbox review_barred review_comments"
        " review_events review_items review_pieces review_previews review_rounds staff_recovery_codes"
        " staff_reveals staff_sessions standing_changes strike_reversals",
        "UPDATE": "accounts anomalies audit_chain bank_entries bank_state banks golden_cases login_attempts"
        " review_barred review_items review_rounds staff staff_invitations staff_recovery_codes"
        " staff_sessions waitlist",
        "DELETE": "login_attempts review_barred review_pieces review_previews review_rounds staff_recovery_codes"
        " staff_sessions",
    },
}
# Functions of the owner's, which do what a room's own rights do not reach to.
FUNCTIONS: Mapping[str, tuple[str, ...]] = {
    "provenance": ("prepare_image_embeddings(text, integer)",),
    "review": ("create_decision_partitions(integer)",),
}


def role_of(room: str) -> str:
    """The role of a room."""
    return f"portcullis_{room}"


def dsn_as(dsn: str, room: str) -> str:
    """The DSN with which `room` connects as its role; empty for one that has none."""
    return make_conninfo(dsn, user=role_of(room)) if room in GRANTS else ""


def grant(conn: psycopg.Connection[tuple[object, ...]]) -> list[str]:
    """Gives every role what `GRANTS` says and takes from it what else it had, in one transaction; the rooms served.

    Makes roles that are missing where the owner may make roles; without them, and without that right, nothing is done.
    """
    with conn.transaction():
        served = [room for room in GRANTS if _exists(conn, role_of(room)) or _make(conn, role_of(room))]
        for room in served:
            role = sql.Identifier(role_of(room))
            conn.execute(sql.SQL("REVOKE ALL ON ALL TABLES IN SCHEMA public FROM {}").format(role))
            for verb, targets in GRANTS[room].items():
                for target in targets.split():
                    conn.execute(_grant(verb, target, role))
            for function in FUNCTIONS.get(room, ()):
                conn.execute(sql.SQL("GRANT EXECUTE ON FUNCTION {} TO {}").format(sql.SQL(function), role))
    return served


def _grant(verb: Verb, target: str, role: sql.Identifier) -> sql.Composed:
    table, _, columns = target.rstrip(")").partition("(")
    listed = sql.SQL(", ").join(sql.Identifier(column) for column in columns.split(","))
    which = sql.SQL(" ({})").format(listed) if columns else sql.SQL("")
    return sql.SQL("GRANT {}{} ON {} TO {}").format(sql.SQL(verb), which, sql.Identifier(table), role)


def _exists(conn: psycopg.Connection[tuple[object, ...]], role: str) -> bool:
    return conn.execute("SELECT FROM pg_roles WHERE rolname = %s", [role]).fetchone() is not None


def _make(conn: psycopg.Connection[tuple[object, ...]], role: str) -> bool:
    """Whether the role could be made; another database of the same server may have made it meanwhile."""
    try:
        with conn.transaction():
            conn.execute(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(role)))
    except psycopg.errors.InsufficientPrivilege:
        return False
    except (psycopg.errors.DuplicateObject, psycopg.errors.UniqueViolation):
        return True
    return True
