"""`portcullis up`: the whole house on this machine, or some of its rooms."""

from __future__ import annotations

import asyncio
import os
from typing import Annotated

import typer
from rich.console import Console

from services.commands.plain import told_plainly


def up(
    only: Annotated[list[str] | None, typer.Option(help="Start only this room; may be given more than once.")] = None,
    port_base: Annotated[
        int | None,
        typer.Option(min=1024, max=65_000, help="First port; the rooms follow in order. As PORTCULLIS_PORT_BASE."),
    ] = None,
) -> None:
    """Start the house on this machine: database, keys and certificates, and every room, under one supervisor.

    Everything lies in the data home (PORTCULLIS_HOME); made on first start, kept afterwards. Ctrl-C ends it cleanly.

    Examples: portcullis up · portcullis up --only prompt_filter · PORTCULLIS_HOME=/srv/demo portcullis up
    """
    from services.commands.house import House, locked
    from services.commands.log_view import LogView
    from services.commands.parts import POSTGRES, parts_for, require_installed
    from services.core.config import HouseSettings
    from services.core.core_dumps import forbid_core_dumps

    forbid_core_dumps()
    if port_base is not None:
        os.environ["PORTCULLIS_PORT_BASE"] = str(port_base)
    with told_plainly():
        house = HouseSettings()
        parts = parts_for(only or ())
        require_installed(parts if house.dsn else [POSTGRES, *parts])
        view = LogView(Console(stderr=True, highlight=False), [part.name for part in (POSTGRES, *parts)])
        with locked(house.home):
            asyncio.run(House(house, parts, view).run())
