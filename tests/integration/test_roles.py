"""Each room's role in Postgres: what it may do, what it may not, and that nobody was forgotten.

That it may do what it needs is shown by the rooms themselves: integration tests and the whole house of the end-to-end
tests connect every room as its role.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import psycopg
import pytest

from services.commands.parts import parts_for
from services.core.config import ROOMS
from services.core.store import roles

APPEND_ONLY = {
    "audit_events",
    "decisions",
    "policies",
    "policy_activations",
    "prompt_model_trials",
    "prompt_models",
    "review_comments",
    "review_events",
    "standing_changes",
    "strike_reversals",
    "strikes",
}
FORBIDDEN = {
    "a filter reads who asks": ("prompt_filter", "SELECT account FROM accounts"),
    "a filter reads the people of the desk": ("image_filter", "SELECT password_hash FROM staff"),
    "a filter writes a policy": ("combo_filter", "INSERT INTO policies DEFAULT VALUES"),
    "a filter changes its own banks": ("image_filter", "UPDATE banks SET enabled = false"),
    "the gateway turns a policy over": ("gateway", "INSERT INTO policy_activations DEFAULT VALUES"),
    "the gateway changes a decision": ("gateway", "UPDATE decisions SET verdict = 1"),
    "the gateway makes a key": ("gateway", "INSERT INTO api_keys DEFAULT VALUES"),
    "the gateway makes a picture unwithdrawn": ("gateway", "UPDATE images SET withdrawn_at = NULL"),
    "the gateway reads the desk's passwords": ("gateway", "SELECT password_hash FROM staff"),
    "provenance reads accounts": ("provenance", "SELECT account FROM accounts"),
    "the desk reads second factors": ("review", "SELECT totp_secret FROM staff"),
    "the desk reads API keys": ("review", "SELECT secret_sha256 FROM api_keys"),
    "the console reads the hashes of API keys": ("console", "SELECT secret_sha256 FROM api_keys"),
    "the console reads webhooks' secrets": ("console", "SELECT secret FROM webhook_endpoints"),
    "the console writes a policy": ("console", "INSERT INTO policies DEFAULT VALUES"),
    "the desk deletes the trail": ("review", "DELETE FROM review_events"),
    "anyone makes a table": ("gateway", "CREATE TABLE mine (a int)"),
    "anyone drops a trigger": ("review", "ALTER TABLE decisions DISABLE TRIGGER decisions_append_only"),
    "a filter makes partitions": ("prompt_filter", "SELECT create_decision_partitions(1)"),
    "the gateway makes indexes": ("gateway", f"SELECT prepare_image_embeddings('{'a' * 64}', 8)"),
}


@pytest.fixture(scope="module")
def dsn(new_database: Callable[[], str]) -> str:
    return new_database()


@pytest.fixture(scope="module")
def owner(dsn: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(dsn, autocommit=True) as conn:
        yield conn


def tables(owner: psycopg.Connection) -> set[str]:
    rows = owner.execute(
        "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')"
        " AND NOT relispartition AND relname !~ '^_?yoyo'"
    ).fetchall()
    return {name for (name,) in rows}


@pytest.mark.parametrize("case", FORBIDDEN)
def test_what_a_room_does_not_need_it_may_not(dsn: str, case: str) -> None:
    room, statement = FORBIDDEN[case]
    with psycopg.connect(roles.dsn_as(dsn, room)) as conn, pytest.raises(psycopg.errors.InsufficientPrivilege):
        conn.execute(statement)


def test_every_process_but_the_generator_has_a_role() -> None:
    assert {part.role for part in parts_for(())} - roles.GRANTS.keys() == {"generator"}
    assert roles.dsn_as("postgresql:///portcullis", "generator") == ""


def test_the_generator_cannot_come_in(dsn: str) -> None:
    with pytest.raises(psycopg.OperationalError, match="does not exist"):
        psycopg.connect(dsn, user=roles.role_of("generator"))


def test_every_table_is_some_rooms_or_the_owners_alone(owner: psycopg.Connection) -> None:
    granted = {
        target.partition("(")[0]
        for grants in roles.GRANTS.values()
        for some in grants.values()
        for target in some.split()
    }
    assert tables(owner) - granted == set()
    assert granted - tables(owner) == set()


def test_what_is_append_only_is_changed_by_nobody(owner: psycopg.Connection) -> None:
    changed = {
        (room, table)
        for room in roles.GRANTS
        for table in APPEND_ONLY
        for verb in ("UPDATE", "DELETE", "TRUNCATE")
        if owner.execute("SELECT has_table_privilege(%s, %s, %s)", [roles.role_of(room), table, verb]).fetchone()[0]
    }
    assert changed == set()


def test_no_role_is_more_than_a_role(owner: psycopg.Connection) -> None:
    rights = owner.execute(
        "SELECT rolname FROM pg_roles WHERE rolname = ANY(%s)"
        " AND (rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls)",
        [[roles.role_of(room) for room in (*ROOMS, "console")]],
    ).fetchall()
    assert rights == []


def test_rights_that_were_added_by_hand_are_gone_after_the_next_migration(owner: psycopg.Connection) -> None:
    owner.execute("GRANT ALL ON accounts TO portcullis_prompt_filter")
    owner.execute("REVOKE ALL ON terms FROM portcullis_prompt_filter")
    assert set(roles.grant(owner)) == set(roles.GRANTS)
    asked = "SELECT has_table_privilege('portcullis_prompt_filter', %s, 'SELECT')"
    assert [owner.execute(asked, [table]).fetchone()[0] for table in ("accounts", "terms")] == [False, True]


def test_an_owner_who_may_not_make_roles_migrates_all_the_same(dsn: str, owner: psycopg.Connection) -> None:
    """As where an administrator makes them: what is there is served, what is not is left."""
    owner.execute("CREATE ROLE modest LOGIN")
    try:
        with psycopg.connect(dsn, user="modest", autocommit=True) as conn:
            assert roles._make(conn, "portcullis_pantry") is False
    finally:
        owner.execute("DROP ROLE modest")
