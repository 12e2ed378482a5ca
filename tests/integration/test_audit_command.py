"""`portcullis audit` on a real Postgres: the trail is shown, kept, and one changed row is found."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import psycopg
import pytest
from typer.testing import CliRunner

from services.commands.audit import app
from services.core.store import audit
from services.core.store.database import Database

run = CliRunner().invoke


@pytest.fixture
async def trail(db: Database, database: str, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("PORTCULLIS_DSN", database)
    monkeypatch.setenv("COLUMNS", "200")
    async with db.transaction() as conn:
        await audit.append(conn, "ada", "account.tier", "acme/user-1", before="new", after="trusted")
        await audit.append(conn, "ben", "policy.activate", "default")
    return database


def tamper(dsn: str) -> None:
    with psycopg.connect(dsn) as conn:
        conn.execute("ALTER TABLE audit_events DISABLE TRIGGER USER")
        conn.execute("UPDATE audit_events SET actor = 'nobody' WHERE seq = 1")


def test_an_untouched_trail_adds_up(trail: str) -> None:
    result = run(app, ["verify"])

    assert result.exit_code == 0
    assert "all adds up" in result.output


def test_one_changed_row_is_named(trail: str) -> None:
    tamper(trail)

    result = run(app, ["verify"])

    assert result.exit_code == 1
    assert "event 1 was changed" in result.output


def test_the_trail_adds_up_to_a_checkpoint_kept_elsewhere(trail: str, tmp_path: Path) -> None:
    kept = tmp_path / "kept.json"
    kept.write_text(run(app, ["checkpoint"]).output)

    assert run(app, ["verify", "--against", str(kept)]).exit_code == 0


def test_another_trail_does_not_add_up_to_it(trail: str, tmp_path: Path) -> None:
    kept = tmp_path / "kept.json"
    kept.write_text(json.dumps({"events": 2, "head": "ab" * 32}))

    result = run(app, ["verify", "--against", str(kept)])

    assert result.exit_code == 1
    assert "is not what it was" in result.output


def test_the_list_can_be_narrowed(trail: str) -> None:
    shown = run(app, ["list", "--action", "policy"]).output

    assert "policy.activate" in shown
    assert "account.tier" not in shown


async def test_of_sealed_cases_the_list_tells_nothing(db: Database, trail: str) -> None:
    async with db.transaction() as conn:
        await audit.append(conn, "sue", "sealed.export", "sealed", sha256="ab" * 32)

    shown = (await asyncio.to_thread(run, app, ["list"])).output

    assert "policy.activate" in shown
    assert "sealed" not in shown
