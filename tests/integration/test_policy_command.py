"""`portcullis policy activate` on a real Postgres."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from services.commands.default_policy import DEFAULT_POLICY
from services.commands.policy import app


@pytest.fixture(autouse=True)
def house(database: str, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("PORTCULLIS_DSN", database)
    return database


@pytest.fixture
def another(tmp_path: Path) -> Path:
    path = tmp_path / "another.yaml"
    first, rest = DEFAULT_POLICY.read_text(encoding="utf-8").split("name:", 1)
    path.write_text(f"{first}name: another{rest[rest.index(chr(10)) :]}", encoding="utf-8")
    return path


def activate(file: Path, *options: str) -> Result:
    return CliRunner().invoke(app, ["activate", str(file), "--by", "ada", *options])


def in_force() -> str:
    return CliRunner().invoke(app, ["show"]).output


def test_a_first_policy_is_put_in_force_where_there_was_none() -> None:
    assert activate(DEFAULT_POLICY, "--if-none").exit_code == 0
    assert "by ada" in in_force()


def test_a_first_policy_leaves_the_one_in_force(another: Path) -> None:
    activate(another)
    before = in_force()
    result = activate(DEFAULT_POLICY, "--if-none")
    assert (result.exit_code, in_force()) == (0, before)
    assert "another one is in force" in result.output


def test_a_policy_takes_the_place_of_the_one_in_force(another: Path) -> None:
    activate(DEFAULT_POLICY)
    before = in_force()
    activate(another)
    assert in_force() != before
