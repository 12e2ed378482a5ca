"""A look at the house on this machine: its models, its data home, its database, its ports and processes."""

from __future__ import annotations

import json
import stat
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from portcullis.cli.extras import pip_command
from services.commands.findings import Finding, Level
from services.commands.ports import is_free
from services.commands.readiness import database_answers, is_serving
from services.core.artifacts import MODELS, load_artifact
from services.core.config import ROOMS, HouseSettings
from services.core.errors import ConfigurationError
from services.image_filter.detectors.presets import resolve
from services.image_filter.settings import ImageFilterSettings

SECRETS = ("client.json", "keys/**/*.key", "keys/**/*.pem", "tls/*.key")
# Public halves among the secrets' folders.
PUBLIC = frozenset({"ca.pem", "chain.pem"})


def models() -> Iterator[Finding]:
    """Whether every shipped model is there and is the one that was meant."""
    manifest = MODELS / "MANIFEST.json"
    if not manifest.exists():
        yield Finding(Level.BAD, "models", f"{manifest} is missing", "restore it from the repository")
        return
    for name in sorted(json.loads(manifest.read_text(encoding="utf-8"))):
        try:
            load_artifact(f"models/{name}")
        except ConfigurationError as error:
            yield Finding(Level.BAD, name, error.message, "restore it from the repository")
        else:
            yield Finding(Level.GOOD, name, "is there, with the right sha256")


def explicit() -> Iterator[Finding]:
    """The detectors of explicit content that the settings name, with their licences."""
    entries = ImageFilterSettings().explicit
    if not entries:
        mend = "set PORTCULLIS_IMAGE_FILTER_EXPLICIT, see docs/models.md"
        yield Finding(Level.BAD, "explicit content", "no detector is configured: the image filter will not start", mend)
    for preset in map(resolve, entries):
        name = f"explicit content: {preset.preset or preset.uri}"
        if preset.package and find_spec(preset.package) is None:
            yield Finding(Level.BAD, name, f"is not installed ({preset.licence})", pip_command([preset.extra]))
        else:
            yield Finding(Level.GOOD, name, f"licence {preset.licence}")


def home() -> Iterator[Finding]:
    """Whether the data home exists and keeps its secrets to its owner."""
    folder = HouseSettings().home
    if not folder.exists():
        yield Finding(Level.NOTE, "home", f"{folder} does not exist yet", "portcullis up makes it")
        return
    findings = [
        Finding(Level.BAD, "home", f"others can read {path}", f"chmod 0600 {path}")
        for path in _secrets(folder)
        if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO)
    ]
    if folder.stat().st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        findings.append(Finding(Level.BAD, "home", f"others can write to {folder}", f"chmod 0755 {folder}"))
    yield from findings or [Finding(Level.GOOD, "home", f"{folder}, its secrets readable by their owner alone")]


async def running() -> list[Finding]:
    """Whether the database and the rooms answer, and whether the ports of those that do not are free."""
    house = HouseSettings()
    findings = [*_elsewhere(house), await _database(house)]
    for room in ROOMS:
        try:
            findings.append(await _room(house, room))
        except ConfigurationError as error:
            findings.append(Finding(Level.BAD, room, error.message))
    return findings


async def _room(house: HouseSettings, room: str) -> Finding:
    """Whether a room answers; raises ConfigurationError where its certificate is of no use."""
    if (house.home / "tls" / f"{room}.pem").exists() and await is_serving(house, room):
        return Finding(Level.GOOD, room, f"serves at {house.target(room)}")
    if is_free(house.bind, house.port(room)):
        return Finding(Level.NOTE, room, f"does not run; its port {house.port(room)} is free")
    return Finding(
        Level.BAD,
        room,
        f"what listens at its port {house.port(room)} does not serve",
        "the room hangs or is not ready: its log says why; or another program: stop that, or set PORTCULLIS_PORT_BASE",
    )


def _elsewhere(house: HouseSettings) -> list[Finding]:
    """Where the house of this home was started last, if that is not where the rooms are looked for."""
    written = house.home / "client.json"
    address = json.loads(written.read_text(encoding="utf-8"))["address"] if written.exists() else ""
    port = str(address).rpartition(":")[2]
    if port in ("", str(house.port("gateway"))):
        return []
    mend = f"PORTCULLIS_PORT_BASE={port} portcullis doctor"
    return [Finding(Level.NOTE, "ports", f"this home's house was started at {address} last, not here", mend)]


async def _database(house: HouseSettings) -> Finding:
    if await database_answers(house):
        return Finding(Level.GOOD, "database", "answers")
    if house.dsn:
        return Finding(
            Level.BAD, "database", "PORTCULLIS_DSN names one that does not answer", "start it, or correct it"
        )
    return Finding(Level.NOTE, "database", "the embedded Postgres does not run", "portcullis up starts it")


def _secrets(folder: Path) -> list[Path]:
    return [path for pattern in SECRETS for path in folder.glob(pattern) if path.name not in PUBLIC]
