"""An engine that speaks vLLM-Omni's images API as its documentation has it, on a real socket; it draws with PIL.

It behaves as badly as a test tells it to.
"""

from __future__ import annotations

import asyncio
import base64
import random
import ssl
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

import uvicorn
from PIL import Image, ImageDraw, ImageOps
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from services.core.rpc import tls

MODEL = "acme/painter"
KEY = "a-key-of-the-engine"


@dataclass(frozen=True)
class Asked:
    """One call for a picture: its fields, and its files as pictures."""

    path: str
    fields: Mapping[str, Any]
    files: Mapping[str, Image.Image]

    @property
    def seed(self) -> int:
        return int(self.fields["seed"])


Behaviour = Callable[[Asked], Awaitable[Response]]


@dataclass
class ImagesApi:
    """What it was asked, how many calls were left before their answer, and what it does instead of drawing."""

    behave: Behaviour | None = None
    model: str = MODEL
    healthy: bool = True
    url: str = ""
    asked: list[Asked] = field(default_factory=list)
    left: int = 0

    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/health", self.health),
                Route("/v1/models", self.models),
                Route("/v1/images/generations", self.generations, methods=["POST"]),
                Route("/v1/images/edits", self.edits, methods=["POST"]),
            ]
        )

    async def health(self, request: Request) -> Response:
        return JSONResponse({"status": "healthy"} if self.healthy else {}, 200 if self.healthy else 503)

    async def models(self, request: Request) -> Response:
        if not _has_key(request):
            return JSONResponse({"error": "Unauthorized"}, 401)
        return JSONResponse({"object": "list", "data": [{"id": self.model, "object": "model", "root": self.model}]})

    async def generations(self, request: Request) -> Response:
        return await self.render(request, Asked(request.url.path, await request.json(), {}))

    async def edits(self, request: Request) -> Response:
        form = await request.form()
        texts = {name: value for name, value in form.items() if isinstance(value, str)}
        files = {name: value for name, value in form.items() if not isinstance(value, str)}
        pictures = {name: Image.open(BytesIO(await file.read())) for name, file in files.items()}
        if "image" not in pictures:
            return JSONResponse({"detail": "Field 'image' or 'url' is required"}, 422)
        return await self.render(request, Asked(request.url.path, texts, pictures))

    async def render(self, request: Request, asked: Asked) -> Response:
        """As documented; ends when the caller leaves."""
        if not _has_key(request):
            return JSONResponse({"error": "Unauthorized"}, 401)
        self.asked.append(asked)
        if asked.fields.get("model", self.model) != self.model:
            return JSONResponse({"detail": "Model mismatch"}, 400)
        if not asked.fields.get("prompt"):
            return invalid("prompt")
        drawing = asyncio.create_task(_to(self.behave or answer, asked))
        leaving = asyncio.create_task(_left(request))
        await asyncio.wait({drawing, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not drawing.done():
            drawing.cancel()
            self.left += 1
            return Response(status_code=499)
        leaving.cancel()
        return drawing.result()


async def answer(asked: Asked) -> Response:
    """Pictures of the size that was asked for, in base64."""
    return good(draw(asked))


def good(*pictures: Image.Image) -> Response:
    return answered(*(base64.b64encode(png(picture)).decode() for picture in pictures))


def answered(*texts: str) -> Response:
    data = [{"b64_json": text, "url": None, "revised_prompt": None} for text in texts]
    return JSONResponse({"created": 1701234567, "data": data})


def invalid(name: str) -> Response:
    return JSONResponse({"detail": [{"loc": ["body", name], "msg": "field required", "type": "missing"}]}, 422)


def draw(asked: Asked) -> Image.Image:
    """A disc whose colour and place the prompt and the seed say; an edit turns all colours of the upload round."""
    width, height = map(int, asked.fields["size"].split("x"))
    if "image" in asked.files:
        return ImageOps.invert(asked.files["image"].convert("RGB").resize((width, height)))
    chance = random.Random(f"{asked.fields['prompt']}/{asked.seed}")
    picture = Image.new("RGB", (width, height), "white")
    left, top = chance.randrange(width // 2), chance.randrange(height // 2)
    colour = tuple(chance.randrange(256) for _ in range(3))
    ImageDraw.Draw(picture).ellipse((left, top, left + width // 2, top + height // 2), fill=colour)
    return picture


def png(picture: Image.Image) -> bytes:
    file = BytesIO()
    picture.save(file, "PNG")
    return file.getvalue()


def until(holds: Callable[[], bool], seconds: float = 10) -> None:
    """Waits for what comes soon or not at all."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.01)


@contextmanager
def serving(api: ImagesApi, certificates: Path | None = None) -> Iterator[ImagesApi]:
    """Serves in a thread of its own, with the certificate for `engine` of that folder or without TLS."""
    config = uvicorn.Config(api.app(), host="127.0.0.1", port=0, lifespan="off", log_config=None, access_log=False)
    config.load()
    if certificates is not None:
        certificate = tls.certificate_path(certificates, "engine")
        config.ssl = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        config.ssl.load_cert_chain(certificate, certificate.with_suffix(".key"))
    listener = config.bind_socket()
    api.url = f"{'https' if certificates else 'http'}://127.0.0.1:{listener.getsockname()[1]}"
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
    thread.start()
    try:
        yield api
    finally:
        server.should_exit = server.force_exit = True
        thread.join()
        listener.close()


async def _to(behave: Behaviour, asked: Asked) -> Response:
    return await behave(asked)


async def _left(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _has_key(request: Request) -> bool:
    return request.headers.get("authorization") == f"Bearer {KEY}"
