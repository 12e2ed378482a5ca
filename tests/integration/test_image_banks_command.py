"""`portcullis image-banks` against a real Postgres."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
from click.testing import Result
from PIL import Image
from skimage import data
from threatexchange.exchanges.impl.file_api import FileCollaborationConfig, LocalFileSignalExchangeAPI
from threatexchange.signal_type.pdq.signal import PdqSignal
from typer.testing import CliRunner

from portcullis.errors import PortcullisError
from services.commands.image_banks import app

Run = Callable[..., Result]
HEX = PdqSignal.get_examples()[0]
OTHER_HEX = PdqSignal.get_examples()[13]


@pytest.fixture
def run(database: str, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs the command on a fresh database with the tenant demo."""
    with psycopg.connect(database) as conn:
        conn.execute("INSERT INTO tenants (tenant) VALUES ('demo')")
    monkeypatch.setenv("PORTCULLIS_DSN", database)
    monkeypatch.setenv("COLUMNS", "250")
    return lambda *arguments: CliRunner().invoke(app, list(arguments))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two photographs, one of them in a folder below, and a plain picture."""
    pictures = tmp_path / "pictures"
    (pictures / "below").mkdir(parents=True)
    Image.fromarray(data.astronaut()).save(pictures / "astronaut.png")
    Image.fromarray(data.coffee()).save(pictures / "below" / "coffee.jpg")
    Image.new("RGB", (64, 64), "red").save(pictures / "plain.png")
    return pictures


def audited(database: str) -> list[tuple[str, str, str]]:
    with psycopg.connect(database) as conn:
        return conn.execute("SELECT actor, action, subject FROM audit_events ORDER BY event_id").fetchall()


def words(result: Result) -> list[str]:
    return result.stdout.replace("│", " ").replace("┃", " ").split()


def test_a_folder_is_added_and_a_crop_of_one_picture_is_found(run: Run, folder: Path, tmp_path: Path) -> None:
    added = run("add", str(folder), "--bank", "leaked", "--label", "case-17", "--tenant", "demo", "--by", "Ada")
    upload = tmp_path / "upload.png"
    Image.fromarray(data.coffee()[20:380, 20:570]).save(upload)

    found = run("find", str(upload))

    assert added.exit_code == 0, added.output
    assert "too plain" in added.stderr
    assert {"leaked", "demo", "below/coffee.jpg", "region", "case-17"} <= set(words(found))
    assert "astronaut.png" not in found.stdout


def test_a_picture_that_cannot_be_read_is_told_and_the_others_are_in(run: Run, folder: Path) -> None:
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n and no more")

    added = run("add", str(folder), "--bank", "leaked")

    assert added.exit_code == 1
    assert "broken.png" in added.stderr
    assert "below/coffee.jpg" in run("show", "leaked").stdout


def test_a_dry_run_changes_nothing(run: Run, folder: Path, database: str, tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text(f"pdq {HEX}\n")
    assert run("add", str(folder), "--bank", "a", "--dry-run").exit_code == 0
    assert run("import", str(tmp_path / "list.txt"), "--bank", "b", "--dry-run").exit_code == 0

    with psycopg.connect(database) as conn:
        assert conn.execute("SELECT count(*) FROM banks").fetchone() == (0,)
    assert audited(database) == []


@pytest.mark.parametrize("suffix", ["csv", "json"])
def test_an_export_is_what_import_reads(run: Run, folder: Path, tmp_path: Path, suffix: str) -> None:
    run("add", str(folder), "--bank", "a", "--label", "one", "--label", "two")
    run("opinion", "a", "disputed", "--entry", "astronaut.png")
    run("disable", "a", "--entry", "below/coffee.jpg")
    exported = run("export", "a", "--format", suffix).stdout
    (tmp_path / f"a.{suffix}").write_text(exported)

    same = run("import", str(tmp_path / f"a.{suffix}"), "--bank", "a")
    copied = run("import", str(tmp_path / f"a.{suffix}"), "--bank", "b", "--tenant", "demo")

    assert [word for word in words(same) if word.isdigit()] == ["0", "0", "0", "2"]
    assert copied.exit_code == 0
    assert run("export", "b", "--tenant", "demo", "--format", suffix).stdout == exported
    assert "disputed" in exported


def test_the_plain_list_is_read_by_the_file_exchange_of_the_library(run: Run, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(f"id,pdq,labels\nx,{HEX},red|blue\ny,{OTHER_HEX},\n")
    run("import", str(tmp_path / "a.csv"), "--bank", "a")
    (tmp_path / "out.txt").write_text(run("export", "a", "--format", "threatexchange").stdout)

    api = LocalFileSignalExchangeAPI.for_collab(
        FileCollaborationConfig(name="ours", filename=str(tmp_path / "out.txt"))
    )
    (delta,) = api.fetch_iter([PdqSignal], None)

    assert set(delta.updates) == {("pdq", HEX), ("pdq", OTHER_HEX)}


BAD = {
    "no.txt": ("md5 abc\n", "line 1"),
    "short.txt": ("pdq 00ff\n", "has 2 bytes"),
    "twice.csv": (f"id,pdq\na,{HEX}\na,{HEX}\n", "twice.csv:3"),
    "column.csv": (f"pdq,wrong\n{HEX},1\n", "'wrong'"),
    "cells.csv": (f"id,pdq\n{HEX}\n", "cells"),
    "opinion.csv": (f"pdq,opinion\n{HEX},good\n", "opinion"),
    "enabled.json": (json.dumps([{"pdq": HEX, "enabled": "perhaps"}]), "enabled"),
    "list.json": ('{"pdq": 1}', "list of objects"),
    "type.json": (json.dumps([{"pdq": HEX, "labels": "red"}]), "labels"),
    "other.xml": ("<a/>", ".csv"),
    "nothing.csv": ("id,labels\na,b\n", "1 to 255"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_mistake_in_a_file_is_told_and_nothing_is_written(run: Run, tmp_path: Path, name: str) -> None:
    text, told = BAD[name]
    (tmp_path / name).write_text(text)

    result = run("import", str(tmp_path / name), "--bank", "a")

    assert isinstance(result.exception, PortcullisError)
    assert told in str(result.exception)
    assert "│ a " not in run("list").stdout


def test_switches_and_opinions_are_shown_and_recorded(run: Run, database: str, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(f"pdq {HEX}\n")
    run("import", str(tmp_path / "a.txt"), "--bank", "a", "--tenant", "demo", "--by", "Ada")
    run("disable", "a", "--tenant", "demo", "--by", "Ada")
    run("enable", "a", "--tenant", "demo", "--entry", HEX, "--by", "Ada")
    run("opinion", "a", "investigation_seed", "--tenant", "demo", "--by", "Ada")

    assert "investigation_seed" in run("show", "a", "--tenant", "demo").stdout
    assert "off" in words(run("list"))
    assert run("remove", "a", "--tenant", "demo", "--by", "Ada").exit_code == 0
    actions = ["import", "disable", "enable", "opinion", "remove"]
    assert audited(database) == [("Ada", f"image_banks.{action}", "demo/a") for action in actions]


def test_the_librarys_samples_are_pulled(run: Run, tmp_path: Path) -> None:
    (tmp_path / "collab.json").write_text('{"name": "samples", "api": "sample"}')

    pulled = run("exchange", "pull", str(tmp_path / "collab.json"), "--bank", "samples")

    assert pulled.exit_code == 0, pulled.exception
    shown = run("show", "samples").stdout
    assert HEX in shown
    assert "sample:samples" in shown
    assert "investigation_seed" in shown


def test_a_pull_follows_its_exchange_and_leaves_the_rest(run: Run, tmp_path: Path) -> None:
    listed, described = tmp_path / "theirs.txt", tmp_path / "collab.json"
    own = tmp_path / "own.csv"
    own.write_text(f"id,pdq\nown,{'0f' * 32}\n")
    run("import", str(own), "--bank", "a")
    described.write_text(json.dumps({"name": "theirs", "api": "local_file", "filename": str(listed)}))
    listed.write_text(f"pdq {HEX}\npdq {OTHER_HEX}\nvideo_md5 {'0' * 32}\n")
    run("exchange", "pull", str(described), "--bank", "a")
    listed.write_text(f"pdq {OTHER_HEX}\n")

    run("exchange", "pull", str(described), "--bank", "a")

    shown = run("show", "a").stdout
    assert "own" in shown
    assert OTHER_HEX in shown
    assert HEX not in shown


@pytest.mark.parametrize(
    ("api", "more", "variable"),
    [
        ("ncmec", {"environment": "https://report.cybertip.org/hashsharing"}, "TX_NCMEC_CREDENTIALS"),
        ("stop_ncii", {}, "TX_STOPNCII_KEYS"),
        ("fb_threatexchange", {"privacy_group": 1}, "TX_ACCESS_TOKEN"),
    ],
)
def test_an_exchange_without_credentials_says_where_it_takes_them_from(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, api: str, more: dict[str, object], variable: str
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv(variable, raising=False)
    (tmp_path / "collab.json").write_text(json.dumps({"name": "theirs", "api": api, **more}))

    result = run("exchange", "pull", str(tmp_path / "collab.json"), "--bank", "a")

    assert isinstance(result.exception, PortcullisError)
    assert variable in str(result.exception)


@pytest.mark.parametrize(
    ("text", "told"),
    [("{", "no JSON"), ("[]", '"api"'), ('{"api": "none", "name": "x"}', "local_file"), ('{"api": "sample"}', "name")],
)
def test_a_description_that_is_wrong_is_told(run: Run, tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "collab.json").write_text(text)

    result = run("exchange", "pull", str(tmp_path / "collab.json"), "--bank", "a")

    assert isinstance(result.exception, PortcullisError)
    assert told in str(result.exception)


def test_the_exchanges_are_listed_with_their_credentials(run: Run) -> None:
    assert {"ncmec", "TX_NCMEC_CREDENTIALS", "sample", "none"} <= set(words(run("exchange", "apis")))
