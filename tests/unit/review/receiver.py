"""A receiver of webhooks on a real socket with real TLS, which behaves as badly as it is told to."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from services.core.rpc import tls

Writer = asyncio.StreamWriter
Behaviour = Callable[[Writer], Awaitable[None]]
NAME = "hooks"


@dataclass
class Received:
    """One request, as it came."""

    target: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Receiver:
    """What it got, how many at once at most, and what it does next."""

    behave: Behaviour
    port: int = 0
    received: list[Received] = field(default_factory=list)
    connections: int = 0
    working: int = 0
    most_at_once: int = 0

    def url(self, host: str = NAME, scheme: str = "https") -> str:
        return f"{scheme}://{host}:{self.port}/webhooks?from=portcullis"

    async def serve(self, reader: asyncio.StreamReader, writer: Writer) -> None:
        self.connections += 1
        self.working += 1
        self.most_at_once = max(self.most_at_once, self.working)
        try:
            self.received.append(await read_request(reader))
            await self.behave(writer)
        except (OSError, asyncio.IncompleteReadError):
            return
        finally:
            self.working -= 1
            writer.close()


async def read_request(reader: asyncio.StreamReader) -> Received:
    first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().strip().split("\r\n")
    headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
    body = await reader.readexactly(int(headers["content-length"]))
    return Received(first.split(" ")[1], headers, body)


def answer(code: int, *headers: str, after: float = 0) -> Behaviour:
    async def behave(writer: Writer) -> None:
        await asyncio.sleep(after)
        head = [f"HTTP/1.1 {code} Whatever", "content-length: 0", *headers]
        writer.write(("\r\n".join(head) + "\r\n\r\n").encode())
        await writer.drain()

    return behave


@asynccontextmanager
async def receiving(behave: Behaviour, folder: Path | None) -> AsyncIterator[Receiver]:
    """Serves with the certificate for `NAME` in `folder`, or without TLS."""
    receiver = Receiver(behave)
    context: ssl.SSLContext | None = None
    if folder is not None:
        certificate = tls.certificate_path(folder, NAME)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, certificate.with_suffix(".key"))
    server = await asyncio.start_server(receiver.serve, "127.0.0.1", 0, ssl=context)
    receiver.port = server.sockets[0].getsockname()[1]
    try:
        yield receiver
    finally:
        server.close()


def make_authority(folder: Path) -> Path:
    """A CA with a certificate for `NAME`; returns the CA's file."""
    tls.create_ca(folder)
    tls.issue_certificate(folder, NAME)
    return folder / "ca.pem"
