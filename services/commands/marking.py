"""`portcullis mark`, and `portcullis inspect --offline`: one picture and the registry of this machine."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from portcullis.v1.provenance_pb2 import Inspection
from services.commands.own_registry import database_of, own_registry
from services.commands.plain import told_plainly
from services.commands.provision import TENANT
from services.core.config import HouseSettings
from services.core.errors import InvalidInput
from services.core.imaging import OutputFormat
from services.core.store.images import RegisteredImage

out = Console(highlight=False, soft_wrap=True)

KINDS: dict[str, OutputFormat] = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP"}


def mark(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="IN",
            exists=True,
            dir_okay=False,
            readable=True,
            help="JPEG, PNG, WebP or a GIF of one frame: 8 to 8,192 pixels a side, 22 million in all.",
        ),
    ],
    target: Annotated[
        Path, typer.Argument(metavar="OUT", dir_okay=False, help="Its name says the format: .png, .jpg or .webp.")
    ],
    tenant: Annotated[str, typer.Option(help="The platform whose picture it is.")] = TENANT,
) -> None:
    """Sign, watermark and register a picture of your own, on this machine; no house need be up.

    Marks what a generator of yours made elsewhere. Nothing is judged: `portcullis scan images` does that. The same
    picture marked twice is two pictures. Transparency stays; JPEG has none and shows the picture on white.

    Example: portcullis mark picture.png marked.png
    """
    with told_plainly():
        kind = KINDS.get(target.suffix.lower())
        if kind is None:
            raise InvalidInput("OUT", f"must end in {', '.join(KINDS)}: {target.name}")
        if not target.parent.is_dir():
            raise InvalidInput("OUT", f"there is no folder {target.parent}")
        if target.exists() and target.samefile(source):
            raise InvalidInput("OUT", "is the picture itself; name another file, so that the original stays")
        with database_of(HouseSettings()) as house:
            image, row = asyncio.run(_mark(house, source.read_bytes(), kind, tenant))
        target.write_bytes(image)
    out.print(f"[bold green]marked[/] {escape(str(target))} [dim]image {row.image_id}, mark {row.payload_id.hex()}[/]")


async def _mark(house: HouseSettings, data: bytes, kind: OutputFormat, tenant: str) -> tuple[bytes, RegisteredImage]:
    async with own_registry(house) as registry:
        return await registry.mark(data, kind, tenant)


def inspect(data: bytes) -> Inspection:
    """What this machine's registry says of a file; for `portcullis inspect --offline`."""
    with told_plainly(), database_of(HouseSettings()) as house:
        return asyncio.run(_inspect(house, data))


async def _inspect(house: HouseSettings, data: bytes) -> Inspection:
    async with own_registry(house) as registry:
        return await registry.inspect(data)
