"""`portcullis sealed export` on a real Postgres: harmless words under an injected score, upheld, handed over."""

from __future__ import annotations

import asyncio
import json
import zipfile
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from click.testing import Result
from typer.testing import CliRunner

from portcullis.errors import PortcullisError as ClientError
from services.commands.sealed import app
from services.core.evidence import SEALED_KEY, EvidenceStore, create_evidence_key
from services.core.store import audit, decisions, evidence_rows, review_events
from services.core.store.database import Database
from services.core.store.decisions import Decision
from services.core.store.review_items import NewReviewItem
from services.core.verdicts import Reason, Verdict

PROMPT = "a quiet harbour in the morning"
REASON = Reason("sexual.minors", "an injected score", 0.9, 0.2, Verdict.BLOCK)
Open = Callable[..., Awaitable[UUID]]


@pytest.fixture
def home(tmp_path: Path, database: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PORTCULLIS_HOME", str(tmp_path))
    monkeypatch.setenv("PORTCULLIS_DSN", database)
    create_evidence_key(tmp_path / "keys" / "evidence.key")
    return tmp_path


@pytest.fixture
def open_case(governed: Database, home: Path) -> Open:
    async def opened(*, resolution: str | None, sealed: bool = True) -> UUID:
        blob = EvidenceStore(home / "evidence", home / "keys" / "evidence.key").put(PROMPT.encode(), sealed=sealed)
        item = NewReviewItem(uuid4(), "prompt", Verdict.BLOCK, (REASON,), held=False, sealed=sealed, prompt=blob.id)
        decision = Decision(
            uuid4(), uuid4(), "acme", "user-1", "create", Verdict.BLOCK, (REASON,), (), "ab" * 32, (), {}
        )
        async with governed.transaction() as conn:
            await evidence_rows.record(conn, "acme", "prompt", blob, timedelta(days=1))
            await decisions.record(conn, decision, [item])
            if resolution:
                await conn.execute(
                    "UPDATE review_items SET state = 'decided', resolution = %s, due_at = now(), decided_at = now(),"
                    " settled_at = now() WHERE item_id = %s",
                    [resolution, item.item_id],
                )
        return item.item_id

    return opened


async def export(item_id: UUID, to: Path, reason: str = "report 1 to the hotline") -> Result:
    words = ["export", str(item_id), "--to", str(to), "--reason", reason]
    return await asyncio.to_thread(CliRunner().invoke, app, words)


async def test_an_upheld_case_is_written_with_its_content_and_its_trail(open_case: Open, home: Path) -> None:
    item_id = await open_case(resolution="uphold")

    assert (await export(item_id, home / "case.zip")).exit_code == 0

    with zipfile.ZipFile(home / "case.zip") as archive:
        report = json.loads(archive.read("report.json"))
        assert archive.read("prompt.txt").decode() == PROMPT
    assert (report["account"], [event["what"] for event in report["trail"]]) == ("user-1", ["opened"])
    assert (home / "case.zip").stat().st_mode & 0o777 == 0o600


async def test_the_export_is_recorded_without_naming_the_case_to_auditors(
    open_case: Open, home: Path, governed: Database
) -> None:
    item_id = await open_case(resolution="uphold")

    await export(item_id, home / "case.zip")

    async with governed.transaction() as conn:
        events = await review_events.of_item(conn, item_id)
        (entry,) = await audit.latest(conn, 1)
    assert events[-1].kind == "exported"
    assert (entry.action, entry.subject) == ("sealed.export", "sealed")
    assert str(item_id) not in json.dumps(entry.detail)


@pytest.mark.parametrize("resolution", [None, "release"])
async def test_what_nobody_upheld_is_not_written(open_case: Open, home: Path, resolution: str | None) -> None:
    result = await export(await open_case(resolution=resolution), home / "case.zip")

    assert isinstance(result.exception, ClientError)
    assert not (home / "case.zip").exists()


async def test_an_ordinary_case_is_not_written(open_case: Open, home: Path) -> None:
    assert isinstance(
        (await export(await open_case(resolution="uphold", sealed=False), home / "case.zip")).exception, ClientError
    )


async def test_without_the_private_key_nothing_is_written(open_case: Open, home: Path) -> None:
    item_id = await open_case(resolution="uphold")
    (home / "keys" / SEALED_KEY).unlink()

    assert isinstance((await export(item_id, home / "case.zip")).exception, ClientError)
    assert not (home / "case.zip").exists()


async def test_a_file_that_exists_is_not_touched(open_case: Open, home: Path) -> None:
    (home / "case.zip").write_text("another's")

    assert isinstance((await export(await open_case(resolution="uphold"), home / "case.zip")).exception, ClientError)
    assert (home / "case.zip").read_text() == "another's"
