"""The vocabulary of categories: what may be wrong, and where each can come from."""

from __future__ import annotations

from typing import Literal

Stage = Literal["prompt", "upload", "pair", "output"]

TEXT_ONLY = frozenset({"language", "evasion"})
IMAGE_ONLY = frozenset({"realistic_face", "known_image", "lineage"})
PAIR_ONLY = frozenset({"manipulation"})

# name -> what it covers, in the words that a refused user reads.
CATEGORIES: dict[str, str] = {
    "hate": "demeans or dehumanises people for who they are",
    "hate.symbols": "shows symbols of hate movements",
    "harassment": "mocks, threatens or bullies a person",
    "violence": "shows or praises violence",
    "violence.graphic": "shows blood, wounds or death in detail",
    "self_harm": "shows or encourages suicide, self-injury or eating disorders",
    "sexual": "is sexual or suggestive",
    "sexual.minors": "sexualises someone who is or looks under 18",
    "shocking": "is disgusting or obscene",
    "illegal": "shows or helps with a crime",
    "deception": "fabricates evidence, news or documents",
    "political": "could influence an election or a campaign",
    "health": "makes a medical claim",
    "spam": "is unsolicited bulk content",
    "public_figure": "depicts a public person",
    "public_figure.historical": "depicts a public person who died more than 70 years ago",
    "realistic_face": "contains a photograph of a human face",
    "known_image": "matches a known forbidden image",
    "language": "is not in a supported language",
    "evasion": "hides what it says",
    "manipulation": "changes the picture in a way that misuses it",
    "lineage": "is one of our own outputs that may not be used again",
}

STAGES: tuple[Stage, ...] = ("prompt", "upload", "pair", "output")


def parent(category: str) -> str | None:
    """The category's parent in the dotted name, None at the top: `violence.graphic` → `violence`."""
    head, dot, _ = category.rpartition(".")
    return head if dot else None


def possible_at(category: str, stage: Stage) -> bool:
    """Whether a signal of `category` can arise at `stage`."""
    if category in TEXT_ONLY:
        return stage in ("prompt", "pair")
    if category in IMAGE_ONLY:
        return stage in ("upload", "output", "pair")
    if category in PAIR_ONLY:
        return stage == "pair"
    return True
