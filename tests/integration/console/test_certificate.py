"""The console's certificate may be renewed while browsers use it."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

import pytest
import pytest_asyncio
import uvicorn

from services.core.rpc import tls
from services.review.console import __main__ as process
from services.review.console.settings import ConsoleSettings

pytestmark = pytest.mark.asyncio(loop_scope="session")
NAME = "console"


def issue(folder: Path) -> None:
    tls.create_ca(folder)
    tls.certificate_path(folder, NAME).unlink(missing_ok=True)
    tls.issue_certificate(folder, NAME)


async def page(scope, receive, send):
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body", "body": b""})


def certificate(folder: Path) -> Path:
    return tls.certificate_path(folder, NAME)


def shown(folder: Path, port: int) -> str:
    return ssl.get_server_certificate(("127.0.0.1", port), ca_certs=str(folder / "ca.pem"))


@pytest_asyncio.fixture(loop_scope="session")
async def port(tmp_path, monkeypatch, new_port_base):
    """Of a server as the console's, with the console's own renewal."""
    monkeypatch.setattr(process, "RENEW_SECONDS", 0.05)
    issue(tmp_path)
    files = certificate(tmp_path), certificate(tmp_path).with_suffix(".key")
    settings = ConsoleSettings(tls_certificate=files[0], tls_key=files[1])
    config = uvicorn.Config(
        page, port=new_port_base(), ssl_certfile=files[0], ssl_keyfile=files[1], lifespan="off", log_config=None
    )
    server = uvicorn.Server(config)
    tasks = [asyncio.create_task(server._serve()), asyncio.create_task(process._renew_certificate(config, settings))]
    while not server.started:  # noqa: ASYNC110 - uvicorn tells nobody
        await asyncio.sleep(0.01)
    yield config.port
    server.should_exit = True
    await tasks[0]
    tasks[1].cancel()


async def test_browsers_see_a_renewed_certificate(port, tmp_path):
    first = await asyncio.to_thread(shown, tmp_path, port)
    issue(tmp_path)
    await asyncio.sleep(0.3)
    second = await asyncio.to_thread(shown, tmp_path, port)
    assert second != first
    assert second == ssl.DER_cert_to_PEM_cert(ssl.PEM_cert_to_DER_cert(certificate(tmp_path).read_text()))


async def test_a_certificate_without_its_key_is_not_taken(port, tmp_path):
    first = await asyncio.to_thread(shown, tmp_path, port)
    key = certificate(tmp_path).with_suffix(".key").read_bytes()
    issue(tmp_path)
    certificate(tmp_path).with_suffix(".key").write_bytes(key)
    await asyncio.sleep(0.3)
    assert await asyncio.to_thread(shown, tmp_path, port) == first
