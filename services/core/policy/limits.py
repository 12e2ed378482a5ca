"""Resolve inheritance: what holds for each category at each stage and tier, and where the document says so."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

from services.core.policy.categories import CATEGORIES, STAGES, Stage, parent, possible_at
from services.core.policy.fields import Mistake, Path
from services.core.policy.floors import ALWAYS_BLOCK
from services.core.policy.schema import NEVER, PolicyDocument
from services.core.verdicts import Tier

TIERS: tuple[Tier, ...] = ("new", "trusted", "invited", "red_team")

LimitTable = dict[tuple[str, Stage, Tier], "Limit"]


@dataclass(frozen=True, slots=True)
class Limit:
    """What holds for one category, stage and tier; `block` is infinite for `never`."""

    review: float
    block: float
    held: bool
    show: bool


def _places(document: PolicyDocument, category: str, stage: Stage) -> Iterator[tuple[Path, object]]:
    """Where a value may stand, the most specific first: category and stage, category, its parent so, the defaults."""
    name: str | None = category
    while name is not None:
        entry = document.categories.get(name)
        if entry is not None:
            if stage in entry.stages:
                yield ("categories", name, "stages", stage), entry.stages[stage]
            yield ("categories", name), entry
        name = parent(name)
    yield ("defaults",), document.defaults


def _specificity(path: Path) -> tuple[bool, int, int]:
    """Sorts places by how near to the case they are: what was written last is there, and so is the mistake."""
    return path[0] == "categories", str(path[1]).count("."), len(path)


def _value(document: PolicyDocument, category: str, stage: Stage, field: str) -> tuple[Path, object]:
    """The first place that says `field`, and what it says; the defaults say every field."""
    places = ((path, getattr(place, field)) for path, place in _places(document, category, stage))
    return next(((*path, field), value) for path, value in places if value is not None)


def _said(tiers: object, tier: Tier) -> Tier:
    """The tier whose value holds: for invited accounts that of the trusted, where none is said for them."""
    return "trusted" if getattr(tiers, tier) is None else tier


def _limit(document: PolicyDocument, category: str, stage: Stage, tier: Tier) -> tuple[Limit, list[Mistake]]:
    """The limit in force, floors applied, and what is wrong with it."""
    review_at, reviews = _value(document, category, stage, "review")
    block_at, blocks = _value(document, category, stage, "block")
    review_tier, block_tier = _said(reviews, tier), _said(blocks, tier)
    review, block = float(getattr(reviews, review_tier)), float(getattr(blocks, block_tier))
    held = _value(document, category, stage, "action")[1] == "hold"
    show = bool(_value(document, category, stage, "show")[1])
    floor = ALWAYS_BLOCK.get(category)
    if floor is not None:
        mistakes = [
            ((*path, said), f"cannot be raised above its floor: {category} is refused from {floor} on")
            for path, said, value in ((review_at, review_tier, review), (block_at, block_tier, block))
            if path[:2] == ("categories", category) and value > floor
        ]
        lowest = min(review, block, floor)
        return Limit(lowest, lowest, held=True, show=False), mistakes
    mistakes, where = [], f"({category}, {stage})"
    if review > block:
        nearest = max((*review_at, review_tier), (*block_at, block_tier), key=_specificity)
        mistakes.append((nearest, f"review {review:g} is above block {block:g} {where}"))
    if block == NEVER and not held:
        mistakes.append(((*block_at, block_tier), f"block: never needs action: hold {where}, or nobody looks"))
    return Limit(review, block, held, show), mistakes


def impossible_stages(document: PolicyDocument) -> list[Mistake]:
    """Exceptions for stages at which their category cannot arise."""
    return [
        (("categories", name, "stages", stage), f"{name} cannot arise at stage {stage}")
        for name, entry in document.categories.items()
        for stage in entry.stages
        if not possible_at(name, stage)
    ]


def resolve(document: PolicyDocument) -> tuple[LimitTable, list[Mistake]]:
    """The limits of all categories × stages × tiers, and every mistake, each once."""
    table: LimitTable = {}
    mistakes: dict[Path, str] = dict(impossible_stages(document))
    for category, stage, tier in product(CATEGORIES, STAGES, TIERS):
        table[category, stage, tier], wrong = _limit(document, category, stage, tier)
        for path, message in wrong:
            mistakes.setdefault(path, message)
    return table, list(mistakes.items())
