"""Starts the analysts' console: `python -m services.review.console`."""

from __future__ import annotations

import asyncio
import gc
import signal
import socket
import ssl

import structlog
import uvicorn

from services.core import telemetry
from services.core.config import HouseSettings
from services.core.errors import ConfigurationError
from services.core.process import process
from services.core.rpc.health import watched
from services.core.store import sessions
from services.review.console.app import make_app
from services.review.console.console import Console
from services.review.console.settings import METRICS_OFFSET, ConsoleSettings

SWEEP_SECONDS = 600.0
RENEW_SECONDS = 10.0
LONGEST_HEAD = 16 * 1024
MOST_CONNECTIONS = 256

log = structlog.get_logger()


def main() -> None:
    """Serves until SIGTERM; exits as `process` says."""
    with process("review.console") as house:
        settings = ConsoleSettings()
        settings.check()
        asyncio.run(serve(house, settings))


async def serve(house: HouseSettings, settings: ConsoleSettings) -> None:
    """Serves until SIGTERM or Ctrl-C; raises PortcullisError where it cannot begin."""
    console = await Console.open(house, settings)
    try:
        with _listening(settings.bind, settings.listening_port(house)) as listener:
            chosen = settings.metrics_port
            metrics = telemetry.serve_metrics(
                house.bind, house.port_base + METRICS_OFFSET if chosen is None else chosen
            )
            log.info("listening", url=console.origin, metrics=metrics)
            config = _config(console, house)
            server = uvicorn.Server(config)
            gc.collect()
            gc.freeze()  # what is there now stays: no page waits while it is searched for garbage
            works = (_sweep(console), console.policy.keep_fresh(), _renew_certificate(config, settings))
            upkeep = [asyncio.create_task(work) for work in works]
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, _heeded)
            async with watched(house, console.database.ping):
                await server.serve([listener])
            for task in upkeep:
                task.cancel()
    finally:
        await console.kept.close()
        await console.database.close()


def _heeded(*_signal: object) -> None:
    """Uvicorn raises the signal that ended it once more when it is done; we have more to close."""


def _config(console: Console, house: HouseSettings) -> uvicorn.Config:
    settings = console.settings
    return uvicorn.Config(
        make_app(console),
        http="h11",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,  # paths hold invitations
        server_header=False,
        date_header=True,
        proxy_headers=bool(settings.proxies),
        forwarded_allow_ips=settings.proxies,
        ssl_certfile=settings.tls_certificate,
        ssl_keyfile=settings.tls_key,
        h11_max_incomplete_event_size=LONGEST_HEAD,
        limit_concurrency=MOST_CONNECTIONS,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=int(house.drain_seconds),
    )


def _listening(interface: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in interface else socket.AF_INET
    # Named TCP, or asyncio leaves Nagle's algorithm on, and the end of each answer waits 40 ms for the browser's ACK.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((interface, port))
    except OSError as error:
        listener.close()
        raise ConfigurationError(
            f"{interface}:{port} cannot be listened on: {error.strerror}; stop what uses it, or set"
            " PORTCULLIS_CONSOLE_PORT",
            reason="PORT_IN_USE",
        ) from error
    return listener


async def _renew_certificate(config: uvicorn.Config, settings: ConsoleSettings) -> None:
    """Browsers that come from now on see the certificate that lies in the files, once it fits its key."""
    if settings.tls_certificate is None or settings.tls_key is None:
        return
    paths = (settings.tls_certificate, settings.tls_key)
    seen = [path.read_bytes() for path in paths]
    while True:
        await asyncio.sleep(RENEW_SECONDS)
        try:
            found = [path.read_bytes() for path in paths]
            if found != seen and config.ssl is not None:
                ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(*paths)  # or the one in use would be half new
                config.ssl.load_cert_chain(*paths)
                seen = found
                log.info("took renewed certificates", certificate=str(paths[0]))
        except OSError as error:  # ssl.SSLError is one: half written, perhaps; we look again
            log.warning("renewed certificates are not used", certificate=str(paths[0]), why=type(error).__name__)


async def _sweep(console: Console) -> None:
    """Deletes old sessions and attempts now and then; what fails is tried again."""
    while True:
        try:
            async with console.database.transaction() as conn:
                await sessions.sweep(conn, console.settings.lifetime)
        except Exception as error:
            log.warning("not swept", **telemetry.fault(error))
        await asyncio.sleep(SWEEP_SECONDS)


if __name__ == "__main__":
    main()
