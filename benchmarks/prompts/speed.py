"""CPU time a prompt: over a realistic mix, and for prompts that every stage works on."""

from __future__ import annotations

import random
from collections.abc import Sequence
from statistics import median, quantiles

from benchmarks.prompts.filters import Filter
from benchmarks.prompts.held_out import ORDINARY, SEED, HeldOut
from benchmarks.report.table import Figure
from services.commands.redteam_spellings import SPELLINGS
from training.prompt_filter import data

_MIX, _VIOLATING = 1_000, 0.05
# About 30 tokens, with a name and a violation in disguise.
_EVERY_STAGE = (
    "a {photo} of {person} in a crowded market square, {act}, golden hour, 35mm film, "
    "shallow depth of field, highly detailed"
)
_PHOTOS = ("photo", "painting", "sketch", "film still", "poster")
_PEOPLE = ("Angela Merkel", "Lionel Messi", "Taylor Swift", "Barack Obama", "Shakira")
_ACTS = (
    "stabbing a man",
    "shooting at the crowd",
    "beating up a stranger",
    "setting a car on fire",
    "stealing a purse",
)
_DISGUISES = ("leet, vowels", "cyrillic", "zero-width", "dotted", "spaced")


def mix(texts: HeldOut) -> list[str]:
    """Ordinary prompts and captions, one in twenty a violation; the same on every run."""
    rows = texts.rows
    ordinary = rows["text"][rows["src"].isin(ORDINARY) | rows["group"].str.startswith("ordinary")].tolist()
    bad = rows["text"][rows["src"].isin(["copro", "nibrw", "own-prompts"]) & rows[data.ANY].eq(1)].tolist()
    draw = random.Random(SEED)
    return [draw.choice(bad if draw.random() < _VIOLATING else ordinary) for _ in range(_MIX)]


def every_stage() -> list[str]:
    """Prompts that have to be undressed, name somebody and reach the encoder."""
    draw = random.Random(SEED)
    return [
        _EVERY_STAGE.format(photo=photo, person=person, act=SPELLINGS[disguise](act, draw))
        for photo in _PHOTOS
        for person in _PEOPLE
        for act, disguise in zip(_ACTS, _DISGUISES, strict=True)
    ]


def measure(filter_: Filter, texts: HeldOut) -> list[Figure]:
    """Median and 95th percentile of the mix, and the median where every stage runs."""
    taken = filter_.milliseconds(mix(texts)).tolist()
    full = filter_.milliseconds(every_stage()).tolist()
    words = f"{median(len(text.split()) for text in mix(texts)):.0f} words"
    return [
        _milliseconds(f"CPU a prompt, mix (of {words}, median): median", taken, median(taken), 1.5),
        _milliseconds("CPU a prompt, mix: 95%", taken, quantiles(taken, n=20)[-1], None),
        _milliseconds("CPU a prompt, mix: mean", taken, sum(taken) / len(taken), None),
        _milliseconds("CPU a prompt, every stage run: median", full, median(full), 9.0),
    ]


def _milliseconds(what: str, taken: Sequence[float], value: float, goal: float | None) -> Figure:
    return Figure(what, len(taken), value, goal, at_most=True, form="{:.2f} ms")
