"""The hand-written pairs in `pairs/`: each a violation and its two benign confounders (as in Kiela et al., 2020)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict

PAIRS = Path(__file__).parent / "pairs"

MaskIdea = Literal["person", "clothes", "head", "text", "thing", "place", "all"]
Kind = Literal["violation", "other picture", "other text"]
Shown = Literal[
    "photo", "person", "face", "people", "bathroom", "bedroom", "swimwear", "school", "hospital", "weapon", "fire",
    "disaster", "crowd", "protest", "polling_place", "uniform", "faith_dress", "faith_place", "food", "alcohol",
    "memorial", "news_scene", "building", "document", "prison", "vehicle", "landscape", "animal", "room", "street",
]  # fmt: skip


class Picture(BaseModel):
    """A picture in words, and all that is true of it."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    description: str
    shows: tuple[Shown, ...]


class Group(BaseModel):
    """A text on a picture that breaks a rule; the same text elsewhere and another text on the same picture do not."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    rule: str
    category: Literal["manipulation", "deception"]
    prompt: str
    picture: Picture
    mask: MaskIdea
    other_picture: Picture
    other_prompt: str
    operation: Literal["edit"]


@dataclass(frozen=True, slots=True)
class Case:
    """One pair to be judged."""

    kind: Kind
    rule: str
    prompt: str
    picture: Picture
    mask: MaskIdea


def read_groups() -> dict[str, list[Group]]:
    """The groups of each file, by its name. Raises pydantic's ValidationError where one is not well made."""
    files = sorted(PAIRS.glob("*.yaml"))
    return {
        path.stem: [Group.model_validate(entry) for entry in yaml.safe_load(path.read_text(encoding="utf-8"))]
        for path in files
    }


def cases(group: Group) -> Iterator[Case]:
    """The violation, then its confounders."""
    yield Case("violation", group.rule, group.prompt, group.picture, group.mask)
    yield Case("other picture", group.rule, group.prompt, group.other_picture, group.mask)
    yield Case("other text", group.rule, group.other_prompt, group.picture, group.mask)
