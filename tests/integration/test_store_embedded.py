"""The embedded Postgres on real disks: what a kill leaves, and what it must not touch."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from services.core.errors import ConfigurationError
from services.core.store import embedded

ROOT = Path(__file__).parents[2]
FAST = {"fsync": "off"}


def modes(path: Path) -> list[int]:
    return [stat.S_IMODE(folder.stat().st_mode) for folder in (path, *path.parents)]


def postmaster(home: Path) -> int:
    return int((home / "postgres" / "data" / "postmaster.pid").read_text().split()[0])


def write(dsn: str) -> None:
    with psycopg.connect(dsn) as conn:
        conn.execute("CREATE TABLE IF NOT EXISTS kept (word text)")
        conn.execute("INSERT INTO kept VALUES ('safe')")


def read(dsn: str) -> str:
    with psycopg.connect(dsn) as conn:
        row = conn.execute("SELECT word FROM kept").fetchone()
        conn.execute("TRUNCATE kept")
    assert row is not None
    return str(row[0])


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home whose cluster is made already; one test at a time runs it."""
    home = tmp_path_factory.mktemp("home")
    with embedded.running(home, FAST):
        return home


def test_private_parents(tmp_path: Path) -> None:
    home = tmp_path / "private" / "home"
    home.parent.mkdir(mode=0o700)
    before = modes(home.parent)

    with embedded.running(home, FAST) as server:
        write(server.dsn)

    assert modes(home.parent) == before


def test_data_outlives_a_restart(home: Path) -> None:
    with embedded.running(home, FAST) as server:
        write(server.dsn)
    with embedded.running(home, FAST) as server:
        assert read(server.dsn) == "safe"


def test_data_outlives_a_kill_of_postgres(home: Path) -> None:
    server = embedded.start(home)
    write(server.dsn)
    os.kill(postmaster(home), signal.SIGKILL)
    server.wait(10)

    with embedded.running(home) as again:
        assert read(again.dsn) == "safe"


def test_a_kill_of_its_supervising_process_is_mended(home: Path) -> None:
    environment = os.environ | {"PORTCULLIS_HOME": str(home)}
    process = subprocess.Popen([sys.executable, "-m", "services.core.store.embedded"], cwd=ROOT, env=environment)
    dsn_file = home / "postgres.dsn"
    deadline = time.monotonic() + 30
    while not dsn_file.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    write(dsn_file.read_text().strip())
    process.kill()
    process.wait()

    with embedded.running(home, FAST) as again:
        assert read(again.dsn) == "safe"


@pytest.mark.parametrize("after", [0.5, 0.8, 1.2])
def test_told_to_stop_while_it_starts_it_leaves_nothing_running(home: Path, after: float) -> None:
    environment = os.environ | {"PORTCULLIS_HOME": str(home)}
    process = subprocess.Popen([sys.executable, "-m", "services.core.store.embedded"], cwd=ROOT, env=environment)
    time.sleep(after)
    process.terminate()
    process.wait(30)

    assert not (home / "postgres" / "data" / "postmaster.pid").exists()


def test_a_killed_first_start_is_begun_anew(tmp_path: Path) -> None:
    half = tmp_path / "postgres" / "draft"
    half.mkdir(parents=True)
    (half / "PG_VERSION").write_text("18\n")

    with embedded.running(tmp_path, FAST) as server:
        write(server.dsn)


def test_a_second_server_on_the_same_home_is_refused(home: Path) -> None:
    with embedded.running(home, FAST), pytest.raises(ConfigurationError, match="stop it first"):
        embedded.start(home, FAST)


def test_a_home_too_long_for_a_socket_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="too long"):
        embedded.start(tmp_path / ("x" * 80))


@pytest.fixture
def shared(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of the system's that everyone may enter, in place of /usr/local/lib/portcullis."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        monkeypatch.setattr(embedded, "SHARED_PROGRAMS", folder)
        yield folder


def test_programs_that_only_root_can_reach_are_copied(
    tmp_path: Path, home: Path, shared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hidden = tmp_path / "private"
    hidden.mkdir(mode=0o700)
    package = embedded._package()
    embedded._copy_programs(package, hidden / "site-packages")
    monkeypatch.setattr(embedded, "_package", lambda: hidden / "site-packages" / package.name)

    with embedded.running(home, FAST) as server:
        write(server.dsn)


@pytest.mark.parametrize(
    "statement", ["SELECT 'what a user wrote'::int", "SELECT 1 FROM no_table WHERE word = 'what a user wrote'"]
)
def test_the_log_holds_no_words_of_users(home: Path, statement: str, capfd: pytest.CaptureFixture[str]) -> None:
    with embedded.running(home, FAST) as server, psycopg.connect(server.dsn) as conn:
        with pytest.raises(psycopg.Error):
            conn.execute(statement)
        conn.rollback()

    assert "what a user wrote" not in capfd.readouterr().err
