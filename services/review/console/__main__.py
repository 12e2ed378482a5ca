"""Starts the analysts' console: `python -m services.review.console`."""

from __future__ import annotations

import asyncio
import gc
import socket

import structlog
import uvicorn

from services.core import telemetry
from services.core.config import HouseSettings
from services.core.errors import ConfigurationError
from services.core.process import process
from services.core.store import sessions
from services.review.console.app import make_app
from services.review.console.console import Console
from services.review.console.settings import METRICS_OFFSET, ConsoleSettings

SWEEP_SECONDS = 600.0
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
            server = uvicorn.Server(_config(console, house))
            gc.collect()
            gc.freeze()  # what is there now stays: no page waits while it is searched for garbage
            upkeep = [asyncio.create_task(work) for work in (_sweep(console), console.policy.keep_fresh())]
            await server.serve([listener])
            for task in upkeep:
                task.cancel()
    finally:
        await console.kept.close()
        await console.database.close()


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
