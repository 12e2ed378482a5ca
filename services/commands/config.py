"""`portcullis config`: every variable that can be set, with its type, default and meaning."""

from __future__ import annotations

import importlib
import inspect
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any

import typer
from pydantic import SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined
from pydantic_settings import BaseSettings
from rich.console import Console
from rich.markup import escape
from rich.padding import Padding

from portcullis.profile import Profile
from services.core.config import ROOMS, HouseSettings
from services.generator.remote_settings import RemoteSettings
from services.review.console.settings import ConsoleSettings

HEADER = """# Configuration

Every process reads its settings from the environment. This page is written by `portcullis config --markdown`.
"""


@dataclass(frozen=True, slots=True)
class Variable:
    """One setting: its environment variable, type, default (as text) and meaning."""

    name: str
    kind: str
    default: str
    meaning: str


def config(
    markdown: Annotated[bool, typer.Option("--markdown", help="Print docs/configuration.md.")] = False,
) -> None:
    """List every variable of every part: name, type, default, meaning.

    Example: PORTCULLIS_GATEWAY_MAX_CONCURRENT=8 portcullis up
    """
    if markdown:
        typer.echo(as_markdown(), nl=False)
        return
    console = Console(highlight=False)
    for title, settings in all_settings():
        console.print(f"\n[bold underline]{title}[/]")
        for variable in variables(settings):
            default = f", default {variable.default}" if variable.default else ""
            console.print(f"[bold]{variable.name}[/] [dim]{escape(variable.kind + default)}[/]")
            console.print(Padding(escape(variable.meaning), (0, 0, 0, 4)))


def as_markdown() -> str:
    """docs/configuration.md."""
    pages = [HEADER]
    for title, settings in all_settings():
        pages.append(f"\n## {title}\n\n| variable | type | default | meaning |\n|---|---|---|---|\n")
        for v in variables(settings):
            cells = (f"`{v.name}`", v.kind, v.default and f"`{v.default}`", v.meaning)
            pages.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n")
    return "".join(pages)


def all_settings() -> Iterator[tuple[str, type[BaseSettings]]]:
    """Every settings class with a title: the house's, each room's, the client's."""
    yield "Every process", HouseSettings
    for room in ROOMS:
        module = importlib.import_module(f"services.{room}.settings")
        for _, settings in inspect.getmembers(module, inspect.isclass):
            if issubclass(settings, BaseSettings) and settings.__module__ == module.__name__:
                yield room, settings
    yield "the generator's engine elsewhere", RemoteSettings
    yield "the review room's console", ConsoleSettings
    yield "Clients and the command line", Profile


def variables(settings: type[BaseSettings]) -> list[Variable]:
    """The variables of one class, in the order in which it declares them."""
    prefix = settings.model_config.get("env_prefix", "")
    return [
        Variable(f"{prefix}{name}".upper(), _kind(field.annotation), _default(name, field), field.description or "")
        for name, field in settings.model_fields.items()
    ]


def _kind(annotation: Any) -> str:
    named = inspect.formatannotation(annotation).replace("typing.", "").replace("pathlib.", "")
    return re.sub(r"services\.\w+\.settings\.", "", named)


def _default(name: str, field: FieldInfo) -> str:
    if name == "home":  # differs from user to user
        return "the user's data folder; for root /var/lib/portcullis"
    value = field.get_default(call_default_factory=True)
    if value is PydanticUndefined:
        return "(must be set)"
    if value is None or value == "" or isinstance(value, SecretStr):
        return ""
    return json.dumps(value) if isinstance(value, list) else str(value)
