"""What is said to the house in confidence is found nowhere that people other than their analyst look.

Canaries of every kind (`canaries.py`) are planted in a whole house whose rooms log all they can and trace every call.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import psycopg
import pytest
from psycopg import sql

from tests.e2e.canaries import ACCOUNT, Canaries, plant

METRICS = range(100, 111)  # ports above the first
# By design, each of mode 0600: the operator's own profile, and the first person's way in.
OPERATORS_OWN = {"client.json", "console.txt"}
TRACED = {
    "/portcullis.v1.GatewayService/CreateImages",
    "/portcullis.v1.PromptFilterService/CheckPrompt",
    "/portcullis.v1.ProvenanceService/MarkImage",
    "/portcullis.v1.ReviewService/ClaimItem",
}


@pytest.fixture(scope="module")
def broker_copy(house):
    """A copy of every message that the broker is given from now on, in a table of the test's own."""
    with psycopg.connect((house.home / "postgres.dsn").read_text().strip(), autocommit=True) as conn:
        (queue,) = conn.execute("SELECT queue_name FROM pgmq.meta").fetchone()
        conn.execute("CREATE TABLE broker_copy (message text)")
        conn.execute(
            "CREATE FUNCTION copy_message() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS"
            " $$ BEGIN INSERT INTO broker_copy VALUES (NEW::text); RETURN NULL; END $$"
        )
        table = sql.Identifier("pgmq", f"q_{queue}")
        trigger = "CREATE TRIGGER copied AFTER INSERT ON {} FOR EACH ROW EXECUTE FUNCTION copy_message()"
        conn.execute(sql.SQL(trigger).format(table))
        yield conn
        conn.execute(sql.SQL("DROP TRIGGER copied ON {}").format(table))
        conn.execute("DROP FUNCTION copy_message")
        conn.execute("DROP TABLE broker_copy")


@pytest.fixture(scope="module")
def said(house, client, desk, broker_copy) -> Canaries:
    return plant(house, client, desk)


def test_the_search_finds_what_is_hidden_in_other_writing(said):
    word, pixels = said.texts["prompt"].encode(), said.pixels["pixels"][0]
    hidden = [word, word.hex().encode(), base64.b64encode(b"a" + word), base64.urlsafe_b64encode(b"ab" + word + b"c")]
    assert [said.found_in(b"{%s}" % form) for form in hidden] == [{"prompt"}] * len(hidden)
    assert said.found_in(base64.b64encode(bytes(7) + pixels + bytes(7))) == {"pixels"}


def test_no_log_holds_them(house, said):
    told = house.log.read_bytes()
    assert b"gateway" in told
    assert said.found_in(told) == set()


def test_no_metric_holds_them(house, said):
    pages = [urlopen(f"http://127.0.0.1:{house.port_base + port}/metrics").read() for port in METRICS]
    assert all(b"python_info" in page for page in pages)
    assert said.found_in(b"".join(pages)) == set()


def test_no_trace_holds_them(collector, said):
    deadline = time.monotonic() + 15
    while not {span.name for span in collector.spans()} >= TRACED and time.monotonic() < deadline:
        time.sleep(0.1)
    assert {span.name for span in collector.spans()} >= TRACED
    exported = b"".join(request.SerializeToString() for request in collector.requests)
    assert said.found_in(exported) == set()


def test_no_error_tells_them(said):
    """But for a category that nobody knows: its sender is told which word was wrong."""
    assert said.found_in("\n".join(said.errors.values()).encode(), allowed=("unknown name",)) == set()


def test_no_row_of_postgres_holds_them_in_the_clear(house, said):
    with psycopg.connect((house.home / "postgres.dsn").read_text().strip()) as conn:
        tables = conn.execute(
            "SELECT relnamespace::regnamespace::text, relname FROM pg_class"
            " WHERE relkind = 'r' AND relnamespace::regnamespace::text IN ('public', 'pgmq')"
        ).fetchall()
        rows = {
            table: conn.execute(sql.SQL("SELECT t::text FROM {} t").format(sql.Identifier(*table))).fetchall()
            for table in tables
        }
    assert ACCOUNT in said.found_in(repr(rows["public", "accounts"]).encode()), "a platform's id of a user is no secret"
    found = {
        ".".join(table): names
        for table, values in rows.items()
        if (names := said.found_in("\n".join(text for (text,) in values).encode(), allowed=(ACCOUNT,)))
    }
    assert found == {}


def test_no_message_of_the_broker_holds_them(broker_copy, said):
    messages = "\n".join(text for (text,) in broker_copy.execute("SELECT message FROM broker_copy").fetchall())
    assert "portcullis" in messages or "review" in messages
    assert said.found_in(messages.encode()) == set()


def test_no_file_of_the_house_holds_them_in_the_clear(house, said):
    with psycopg.connect((house.home / "postgres.dsn").read_text().strip(), autocommit=True) as conn:
        conn.execute("CHECKPOINT")
    found = {
        path.relative_to(house.home).as_posix(): names
        for path in house.home.rglob("*")
        if path.is_file() and path.name not in OPERATORS_OWN
        if (names := said.found_in(_content(path), allowed=(ACCOUNT,)))
    }
    assert found == {}


def test_what_is_the_operators_own_is_for_nobody_else(house):
    modes = {name: oct((house.home / name).stat().st_mode & 0o777) for name in OPERATORS_OWN}
    assert modes == dict.fromkeys(OPERATORS_OWN, "0o600")


def test_no_process_of_the_house_may_leave_a_core(house):
    limits = dict(_core_limits(house.process.pid))
    assert len(limits) >= 12
    assert {command for command, limit in limits.items() if limit != ("0", "0")} == set()


def _core_limits(pid: int) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Of a process and all that came of it: its command line, and its soft and hard limit on the size of a core."""
    folder = Path(f"/proc/{pid}")
    limits = (folder / "limits").read_text().splitlines()
    line = next(line for line in limits if line.startswith("Max core file size"))
    yield f"{pid} {(folder / 'cmdline').read_text()}".replace("\0", " "), tuple(line.split()[4:6])
    for children in folder.glob("task/*/children"):
        for child in children.read_text().split():
            yield from _core_limits(int(child))


def _content(path: Path) -> bytes:
    """A file that is gone meanwhile holds nothing."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""
