"""Training rows out of what the house decided: the honest label of a prompt is what it led to, or what a person said.

The texts stay in memory: nothing here writes, logs or shows one.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from uuid import UUID

import numpy as np

from services.core.errors import NotFound, Unavailable
from services.core.store.lessons import Lesson
from services.prompt_filter.normalize import plain

# What anybody can send may be meant to teach the filter something else (poisoning): with these caps one account moves
# little, and a crowd of accounts no more than what people decide in a month.
MOST_OF_ACCOUNT = 20
MOST_OF_SIDE = 1_000
# One prompt in so many measures and is never learned from, by this candidate or a later one.
_HELD_OUT = 5
# A label: 1 or 0, and how far it is believed, 0…1.
Label = tuple[int, float]


@dataclass(frozen=True, slots=True)
class Harvest:
    """N different prompts: `labels` int8 (N, C): 1, 0 or -1 (unknown); `weights` float32 (N, C), 0…1, how far a label
    is believed; `held_out` bool (N,). `unreadable` cases had no evidence any more, or damaged evidence.
    """

    texts: tuple[str, ...] = field(repr=False)
    labels: np.ndarray
    weights: np.ndarray
    held_out: np.ndarray
    unreadable: int


def harvest(lessons: Iterable[Lesson], read: Callable[[UUID], bytes], categories: Sequence[str]) -> Harvest:
    """The rows of `lessons`, those that a person decided first; `read` decrypts evidence.

    What no row needs any more is not read at all.
    """
    texts: dict[bytes, str] = {}
    labels: dict[bytes, dict[str, Label]] = {}
    sides: Counter[tuple[str, int]] = Counter()
    unreadable = 0
    for lesson in lessons:
        taught = {name: label for name, label in _labels(lesson).items() if name in categories}
        taught = {name: label for name, label in taught.items() if sides[name, label[0]] < MOST_OF_SIDE}
        if not taught:
            continue
        try:
            text = read(lesson.prompt).decode()
        except (NotFound, Unavailable):
            unreadable += 1
            continue
        key = _key(text)
        texts.setdefault(key, text)
        known = labels.setdefault(key, {})
        for name, label in taught.items():
            merged = _merged(known.get(name), label, decided=lesson.resolution is not None)
            sides[name, merged[0]] += name not in known
            known[name] = merged
    table = [[row.get(name, (-1, 0.0)) for name in categories] for row in labels.values()]
    cells = np.array(table, np.float32).reshape(len(table), len(categories), 2)
    held_out = np.array([int.from_bytes(key[:4], "big") % _HELD_OUT == 0 for key in texts], bool)
    return Harvest(tuple(texts.values()), cells[..., 0].astype(np.int8), cells[..., 1], held_out, unreadable)


def _labels(lesson: Lesson) -> dict[str, Label]:
    """What a case says of each category that was measured; a rule is no measurement of its category.

    A person's word counts whole; a picture's calibrated score is the probability that its label is right.
    """
    found = {reason.category: reason.score for reason in lesson.reasons if not reason.rule}
    match lesson.resolution:
        case "release":
            return dict.fromkeys(found, (0, 1.0))
        case "uphold":
            return dict.fromkeys(found, (1, 1.0))
        case None:
            return {category: (1, score) for category, score in found.items()}


def _merged(known: Label | None, label: Label, *, decided: bool) -> Label:
    """Of two labels of one prompt: a person's before a picture's, and what once led to a violation is one."""
    if known is None:
        return label
    if decided:
        return max(known, label)
    return known if known[0] == 0 else max(known, label)


def _key(text: str) -> bytes:
    """Prompts that read alike are one."""
    return hashlib.sha256(plain(text).text.lower().encode()).digest()
