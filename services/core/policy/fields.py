"""Types that the sections of a policy document share."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict

from services.core.policy.categories import CATEGORIES
from services.core.policy.concepts import RULE_NAMES, is_rule_name

# Where in a document something is wrong, and what.
Path = tuple[str | int, ...]
Mistake = tuple[Path, str]


def unknown(what: str, name: str, allowed: Iterable[str]) -> str:
    """The sentence for a name that nobody knows, with the nearest ones that exist."""
    near = difflib.get_close_matches(name, list(allowed), n=3)
    hint = f": did you mean {' or '.join(repr(word) for word in near)}?" if near else ""
    return f"unknown {what} {name!r}{hint}"


def _category(name: str) -> str:
    if name not in CATEGORIES:
        raise ValueError(unknown("category", name, CATEGORIES))
    return name


def _score(name: str) -> str:
    if not is_rule_name(name):
        raise ValueError(unknown("score", name, RULE_NAMES))
    return name


CategoryName = Annotated[str, AfterValidator(_category)]
ScoreName = Annotated[str, AfterValidator(_score)]


class Section(BaseModel):
    """A part of a policy document: nothing unknown in it, nothing converted, never changed."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)
