"""`portcullis webhooks`: what is added, shown, changed and recorded."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from pathlib import Path
from uuid import UUID

import psycopg
import pytest
from click.testing import Result
from typer.testing import CliRunner

from services.commands import webhooks as command
from services.core.secret_box import SecretBox, create_key
from services.core.store import webhooks
from services.core.store.database import single_transaction
from services.core.store.webhooks import Delivery, NewDelivery

Run = Callable[..., Result]
URL = "https://hooks.example/path?token=hidden"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    create_key(tmp_path / "keys" / "webhooks.key")
    return tmp_path


@pytest.fixture
def run(home: Path, database: str, monkeypatch: pytest.MonkeyPatch) -> Run:
    def resolved(host: str, port: int, *_: object) -> list[object]:
        address = "10.0.0.1" if host.endswith(".internal") else "93.184.216.34"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    monkeypatch.setenv("PORTCULLIS_HOME", str(home))
    monkeypatch.setenv("PORTCULLIS_DSN", database)
    monkeypatch.setattr(socket, "getaddrinfo", resolved)
    monkeypatch.setattr(command, "TEST_SECONDS", 0)
    with psycopg.connect(database) as conn:
        conn.execute("INSERT INTO tenants (tenant) VALUES ('acme')")
    return lambda *arguments: CliRunner().invoke(command.app, list(arguments))


def added(run: Run, *more: str) -> tuple[str, str]:
    """An endpoint's id and its secret."""
    words = run("add", "acme", URL, *more).stdout.split()
    return words[1].rstrip(":"), next(word for word in words if word.startswith("whsec_"))


def trail(dsn: str) -> list[tuple[str, str]]:
    with psycopg.connect(dsn) as conn:
        return conn.execute("SELECT action, subject FROM audit_events ORDER BY event_id").fetchall()


def parked(dsn: str, endpoint_id: str) -> UUID:
    """A delivery of that endpoint that was given up."""

    async def write() -> UUID:
        async with single_transaction(dsn) as conn:
            [made] = await webhooks.queue(conn, [NewDelivery(UUID(endpoint_id), 7, "item.settled", "{}")])
            await conn.execute("UPDATE webhook_deliveries SET state = 'parked', status = 'HTTP 500', attempt = 22")
        return made

    return asyncio.run(write())


def delivery(dsn: str, delivery_id: UUID) -> Delivery:
    async def read() -> Delivery:
        async with single_transaction(dsn) as conn:
            return await webhooks.delivery(conn, delivery_id)

    return asyncio.run(read())


def test_an_endpoint_is_listed_and_its_secret_shown_once(run: Run) -> None:
    endpoint_id, secret = added(run, "--event", "item.settled")

    listed = run("list", "--tenant", "acme").stdout

    assert endpoint_id in listed
    assert "well" in listed
    assert "item.settled" in listed
    assert secret not in listed


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["acme", "http://hooks.example/"], "only https"),
        (["acme", "https://hooks.internal/"], "not public"),
        (["acme", "https://hooks.example:8443/"], "port 8443"),
        (["acme", URL, "--event", "item.claimed"], "platforms are told of"),
        (["nobody", URL], "no tenant nobody"),
    ],
)
def test_what_cannot_be_added_is_refused_with_the_reason(
    run: Run, database: str, arguments: list[str], why: str
) -> None:
    refused = run("add", *arguments)

    assert why in str(refused.exception)
    assert trail(database) == []


def test_each_change_is_recorded_without_address_or_secret(run: Run, database: str) -> None:
    endpoint_id, secret = added(run)
    given_up = parked(database, endpoint_id)
    run("rotate", endpoint_id)
    run("test", endpoint_id)
    run("resend", str(given_up))
    run("remove", endpoint_id)

    actions = [f"webhooks.{action}" for action in ("add", "rotate", "test", "resend", "remove")]
    assert trail(database) == [(action, endpoint_id) for action in actions]
    with psycopg.connect(database) as conn:
        details = str(conn.execute("SELECT detail FROM audit_events").fetchall())
    assert "hidden" not in details
    assert secret not in details


def test_a_rotated_secret_is_another(run: Run) -> None:
    endpoint_id, first = added(run)

    second = next(word for word in run("rotate", endpoint_id).stdout.split() if word.startswith("whsec_"))

    assert second != first


def test_what_is_parked_is_shown_and_sent_again(run: Run, database: str) -> None:
    endpoint_id, _ = added(run)
    given_up = parked(database, endpoint_id)

    shown = run("deliveries", "--parked").stdout
    run("resend", "--endpoint", endpoint_id)

    assert (str(given_up) in shown, "HTTP 500" in shown) == (True, True)
    assert delivery(database, given_up).state == "pending"


def test_a_test_that_nobody_sends_says_so(run: Run) -> None:
    endpoint_id, _ = added(run)

    result = run("test", endpoint_id)

    assert result.exit_code == 1
    assert "does the notifier run" in result.stdout


@pytest.mark.parametrize(
    "arguments",
    [["remove", "no-id"], ["rotate", str(UUID(int=1))], ["resend"], ["resend", str(UUID(int=1)), "--endpoint", "x"]],
)
def test_unknown_and_malformed_ids_are_clear_errors(run: Run, arguments: list[str]) -> None:
    failed = run(*arguments)

    assert type(failed.exception).__name__ == "PortcullisError"


def test_without_its_key_nothing_is_added(run: Run, home: Path, database: str) -> None:
    (home / "keys" / "webhooks.key").unlink()

    refused = run("add", "acme", URL)

    assert "portcullis up" in str(refused.exception)
    assert trail(database) == []


def test_the_secret_in_the_database_opens_for_its_endpoint(run: Run, home: Path, database: str) -> None:
    endpoint_id, secret = added(run)

    with psycopg.connect(database) as conn:
        row = conn.execute("SELECT secret FROM webhook_endpoints").fetchone()

    assert row is not None
    opened = SecretBox(home / "keys" / "webhooks.key").open(row[0], UUID(endpoint_id).bytes)
    assert command.show(opened) == secret
