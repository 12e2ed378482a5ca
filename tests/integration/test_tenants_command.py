"""`portcullis tenants` on a real Postgres."""

from __future__ import annotations

import re

import psycopg
import pytest
from click.testing import Result
from typer.testing import CliRunner

from portcullis.errors import PortcullisError as ClientError
from services.commands.tenants import app


@pytest.fixture(autouse=True)
def house(database: str, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("PORTCULLIS_DSN", database)
    return database


def run(*words: str) -> Result:
    return CliRunner().invoke(app, list(words))


def key_of(result: Result) -> str:
    found = re.search(r"pk_([0-9a-f]{16})_\S{43}", result.output)
    assert found is not None
    return found[1]


def test_a_platform_is_added_with_a_key_shown_once() -> None:
    key_id = key_of(run("add", "acme"))

    assert key_id in run("keys", "acme").output
    assert "pk_" not in run("keys", "acme").output


def test_a_revoked_key_is_shown_as_such() -> None:
    key_id = key_of(run("add", "acme"))

    run("revoke", key_id)

    assert "opens" not in run("keys", "acme").output


def test_a_key_cannot_be_revoked_twice() -> None:
    key_id = key_of(run("add", "acme"))
    run("revoke", key_id)

    assert isinstance(run("revoke", key_id).exception, ClientError)


def test_an_unknown_platform_gets_no_key() -> None:
    assert isinstance(run("key", "nobody").exception, ClientError)


@pytest.mark.parametrize("name", ["Acme", "a b", "x" * 65, "a;b"])
def test_a_bad_name_is_refused(name: str) -> None:
    assert isinstance(run("add", name).exception, ClientError)


def test_each_step_is_recorded(house: str) -> None:
    run("revoke", key_of(run("add", "acme")))

    with psycopg.connect(house) as conn:
        actions = conn.execute("SELECT action FROM audit_events ORDER BY event_id").fetchall()
    assert actions == [("tenant.add",), ("tenant.key",), ("tenant.revoke_key",)]
