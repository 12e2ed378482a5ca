"""Concept banks: YAML that says in sentences what a joint encoder shall look for in a picture."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Annotated

import structlog
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from services.core.errors import ConfigurationError
from services.core.policy.concepts import CONCEPTS, is_own
from services.core.policy.fields import unknown
from services.core.policy.positions import PolicyError, Problem, parse

log = structlog.get_logger()

LOOK_SECONDS = 2.0
_EXPECTED = 'a concept bank is a mapping of concepts, each with sentences under "yes" and "no", in quotation marks'


def _concept(name: str) -> str:
    if name not in CONCEPTS and not is_own(name):
        raise ValueError(f"{unknown('concept', name, CONCEPTS)}; your own are called concept.own.<name>")
    return name


class Sentences(BaseModel):
    """What says that a concept is in the picture, and what says that something else is."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    yes: list[Annotated[str, Field(min_length=1)]] = Field(min_length=1)
    no: list[Annotated[str, Field(min_length=1)]] = Field(min_length=1)


Bank = dict[Annotated[str, AfterValidator(_concept)], Sentences]
_BANK: TypeAdapter[Bank] = TypeAdapter(Bank)


def read_bank(path: Path | None) -> Bank:
    """The bank in a file, the room's own without one; ConfigurationError with line and column of every mistake."""
    if path is None:
        text = (resources.files("services.combo_filter") / "data" / "concepts.yaml").read_text(encoding="utf-8")
        return parse_bank(text, "concepts.yaml")
    try:
        return parse_bank(path.read_text(encoding="utf-8"), str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"concept bank {path} cannot be read: {error}") from error


def parse_bank(text: str, source: str) -> Bank:
    """As `read_bank`; `source` is how messages call it."""
    try:
        located = parse(text, source, _EXPECTED)
    except PolicyError as error:
        raise _mistakes(error.problems, source) from error
    try:
        return _BANK.validate_python(located.data)
    except ValidationError as error:
        problems = [
            located.problem(each["loc"], each["msg"], at_key=each["loc"][-1] == "[key]") for each in error.errors()
        ]
        raise _mistakes(problems, source) from error


async def follow_bank(path: Path, use: Callable[[Bank], None]) -> None:
    """Puts the bank of a file to use whenever it changes, and keeps the last good one; runs until cancelled."""
    seen = await asyncio.to_thread(_changed, path)
    while True:
        await asyncio.sleep(LOOK_SECONDS)
        changed = await asyncio.to_thread(_changed, path)
        if changed == seen:
            continue
        seen = changed
        try:
            await asyncio.to_thread(lambda: use(read_bank(path)))
            log.info("concept bank loaded", file=str(path))
        except ConfigurationError as error:
            log.error("concept bank cannot be used, the last good one stays", why=str(error))


def _changed(path: Path) -> int:
    """When a file was last changed, in nanoseconds; 0 where there is none."""
    return path.stat().st_mtime_ns if path.exists() else 0


def _mistakes(problems: list[Problem] | tuple[Problem, ...], source: str) -> ConfigurationError:
    return ConfigurationError("; ".join(problem.render(source) for problem in problems), reason="BAD_CONCEPT_BANK")
