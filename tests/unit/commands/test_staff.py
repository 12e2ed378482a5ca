"""`portcullis staff`: who may use the console."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from services.commands.staff import app


@pytest.fixture
def staff(database, tmp_path, monkeypatch):
    monkeypatch.setenv("PORTCULLIS_DSN", database)
    monkeypatch.setenv("PORTCULLIS_HOME", str(tmp_path))
    return lambda *words: CliRunner().invoke(app, words)


def test_an_invitation_is_a_link(staff):
    answer = staff("invite", "alice", "--role", "analyst", "--role", "senior")
    assert "http://127.0.0.1:7407/join/" in answer.output


def test_everybody_is_listed_with_roles_and_state(staff):
    staff("invite", "alice", "--role", "lead", "--email", "alice@example.com")
    staff("disable", "alice")
    output = staff("list").output
    assert all(word in output for word in ("alice", "lead", "disabled", "alice@example.com"))


def test_roles_are_replaced(staff):
    staff("invite", "alice", "--role", "lead")
    staff("roles", "alice", "--role", "auditor")
    output = staff("list").output
    assert ("auditor" in output, "lead" in output) == (True, False)


def test_a_reset_gives_a_new_link(staff):
    first = staff("invite", "alice", "--role", "lead").output.split("/join/")[1]
    assert staff("reset", "alice").output.split("/join/")[1] != first


@pytest.mark.parametrize("name", ["", "Alice", "a b", "x" * 64, "../x"])
def test_a_bad_name_is_refused(staff, name):
    assert staff("invite", name, "--role", "lead").exit_code != 0


@pytest.mark.parametrize("words", [("disable", "bob"), ("reset", "bob"), ("roles", "bob", "--role", "lead")])
def test_nobody_is_told_so(staff, words):
    assert "nobody called bob" in str(staff(*words).exception or "") + staff(*words).output


def test_a_name_is_given_once(staff):
    staff("invite", "alice", "--role", "lead")
    assert staff("invite", "alice", "--role", "lead").exit_code != 0
