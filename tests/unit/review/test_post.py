"""Posting to receivers that hang, trickle, redirect, flood or lie, over real sockets and real TLS."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from services.core.errors import ConfigurationError
from services.review.addresses import Rules
from services.review.post import Outcome, Poster
from tests.unit.review.receiver import NAME, Receiver, Writer, answer, make_authority, receiving

real_getaddrinfo = socket.getaddrinfo


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("authority")
    make_authority(folder)
    return folder


@pytest.fixture
def looked_up(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names lead to this machine; what was looked up is listed."""
    names: list[str] = []

    def resolved(host: str, port: int, *rest: object, **more: object) -> list[object]:
        if host.replace(".", "").isdigit():
            return list(real_getaddrinfo(host, port, *rest, **more))  # type: ignore[arg-type]
        names.append(host)
        # A second look would be led elsewhere: where nobody listens.
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1" if len(names) == 1 else "127.0.0.9", port))]

    monkeypatch.setattr(socket, "getaddrinfo", resolved)
    return names


@pytest.fixture
async def receiver(folder: Path, looked_up: list[str]) -> AsyncIterator[Receiver]:
    async with receiving(answer(200), folder) as receiver:
        yield receiver


def poster(folder: Path | None, *ports: int, seconds: float = 5, inside: str = "127.0.0.0/8") -> Poster:
    ca = folder / "ca.pem" if folder else None
    return Poster(Rules.of(ports, False, [inside] if inside else []), ca, seconds=seconds)


async def post(receiver: Receiver, folder: Path | None, *, host: str = NAME, **more) -> Outcome:
    return await poster(folder, receiver.port, **more).post(receiver.url(host), b'{"a": 1}', {"webhook-id": "1"})


async def test_what_is_posted_arrives_as_it_is_at_the_address_that_was_judged(
    receiver: Receiver, folder: Path, looked_up: list[str]
) -> None:
    outcome = await post(receiver, folder)

    [got] = receiver.received
    assert (outcome, looked_up) == (Outcome(True, "HTTP 200"), [NAME])
    assert (got.target, got.body, got.headers["host"]) == (
        "/webhooks?from=portcullis",
        b'{"a": 1}',
        f"{NAME}:{receiver.port}",
    )


async def test_a_name_that_leads_inside_is_never_connected_to(receiver: Receiver, folder: Path) -> None:
    outcome = await post(receiver, folder, inside="")

    assert (outcome.good, outcome.status) == (False, "the name leads to an address that is not public")
    assert receiver.connections == 0


async def test_a_certificate_for_another_name_is_refused(receiver: Receiver, folder: Path) -> None:
    outcome = await post(receiver, folder, host="elsewhere")

    assert not outcome.good
    assert "certificate is not valid: Hostname mismatch" in outcome.status
    assert receiver.received == []


async def test_a_certificate_of_an_unknown_authority_is_refused(receiver: Receiver) -> None:
    outcome = await post(receiver, None)

    assert not outcome.good
    assert "certificate is not valid: unable to get local issuer certificate" in outcome.status
    assert receiver.received == []


async def test_a_redirect_is_a_failure_and_not_followed(receiver: Receiver, folder: Path) -> None:
    async with receiving(answer(200), folder) as inside:
        receiver.behave = answer(302, f"location: {inside.url('127.0.0.1')}")
        outcome = await post(receiver, folder)

    assert (outcome.good, outcome.status) == (
        False,
        "HTTP 302: redirects are not followed; give the final address",
    )
    assert inside.connections == 0


async def hang(writer: Writer) -> None:
    await asyncio.sleep(60)


async def trickle(writer: Writer) -> None:
    for byte in b"HTTP/1.1 200 OK\r\n" + b"x-a: b\r\n" * 1000:
        writer.write(bytes([byte]))
        await writer.drain()
        await asyncio.sleep(0.02)


@pytest.mark.parametrize("behave", [hang, trickle])
async def test_a_receiver_that_takes_too_long_is_left(
    receiver: Receiver, folder: Path, behave: Callable[[Writer], object]
) -> None:
    receiver.behave = behave  # type: ignore[assignment]

    outcome = await post(receiver, folder, seconds=0.5)

    assert outcome == Outcome(False, "no answer within 0.5 seconds")


async def test_an_endless_body_is_not_read(receiver: Receiver, folder: Path) -> None:
    sent = 0

    async def flood(writer: Writer) -> None:
        nonlocal sent
        writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
        while True:
            writer.write(b"10000\r\n" + 0x10000 * b"x" + b"\r\n")
            await writer.drain()
            sent += 0x10000

    receiver.behave = flood
    outcome = await post(receiver, folder)

    assert outcome == Outcome(True, "HTTP 200")
    assert sent < 16 * 2**20  # what fits into the sockets' buffers, and no more


async def test_an_endless_head_is_cut_off(receiver: Receiver, folder: Path) -> None:
    async def flood(writer: Writer) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n")
        while True:
            writer.write(b"x-more: " + 1000 * b"x" + b"\r\n")
            await writer.drain()

    receiver.behave = flood
    outcome = await post(receiver, folder)

    assert outcome == Outcome(False, "the connection broke (RemoteProtocolError)")


async def test_what_is_not_http_is_a_failure(receiver: Receiver, folder: Path) -> None:
    async def babble(writer: Writer) -> None:
        writer.write(b"220 mail.example ESMTP\r\n")
        await writer.drain()

    receiver.behave = babble
    outcome = await post(receiver, folder)

    assert outcome == Outcome(False, "the connection broke (RemoteProtocolError)")


async def test_where_nobody_listens_is_said(receiver: Receiver, folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        receiver.port = taken.getsockname()[1]
    outcome = await post(receiver, folder)

    assert outcome == Outcome(False, "it does not take connections")


async def test_the_next_address_is_tried_where_one_takes_no_connections(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def resolved(_host: str, port: int, *_: object) -> list[object]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in ("127.0.0.9", "127.0.0.1")]

    async with receiving(answer(200), folder) as receiver:
        monkeypatch.setattr(socket, "getaddrinfo", resolved)
        outcome = await post(receiver, folder)

    assert outcome.good


async def test_the_environments_proxy_is_not_asked(
    receiver: Receiver, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")

    assert (await post(receiver, folder)).good


async def test_gone_is_told_from_other_failures(receiver: Receiver, folder: Path) -> None:
    receiver.behave = answer(410)

    assert await post(receiver, folder) == Outcome(False, "HTTP 410", gone=True)


def test_an_authority_that_is_none_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="WEBHOOK_CA"):
        Poster(Rules(), tmp_path / "none.pem")
