"""What filters measure: signals, their evidence, and the models behind them. Plain values, free of gRPC."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

TextForm = Literal["original", "undressed", "negative"]


@dataclass(frozen=True, slots=True)
class TextSpan:
    """A run of the original text (of form "negative": of the negative prompt): UTF-8 byte offsets, `start` < `end`."""

    start: int
    end: int
    form: TextForm = "original"


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle of the sanitised image in pixels, origin upper left."""

    x: int
    y: int
    w: int
    h: int


@dataclass(frozen=True, slots=True)
class BankMatch:
    """An entry of a bank; `distance` in bits for hashes, in edits for terms, 0 is exact."""

    bank: str
    entry: str
    distance: int


@dataclass(frozen=True, slots=True)
class Lineage:
    """Our own ancestors of an upload, nearest first; `depth` 1 is an image made from text."""

    depth: int
    ancestors: tuple[str, ...]


Evidence = TextSpan | Box | BankMatch | Lineage


@dataclass(frozen=True, slots=True)
class Signal:
    """One measurement: `score` is a calibrated probability 0…1 of a violation of `category`."""

    category: str
    score: float
    source: str
    evidence: Evidence | None = None


def with_zeros(signals: Sequence[Signal], categories: Iterable[str], source: str) -> tuple[Signal, ...]:
    """`signals`, and a score of 0 for each of `categories` that none of them speaks of: looked for, nothing found."""
    spoken = {signal.category for signal in signals}
    return (*signals, *(Signal(name, 0.0, source) for name in sorted(set(categories) - spoken)))


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """A model that took part; `digest` is the sha256 of its weights in hex, empty for code without weights."""

    name: str
    version: str
    digest: str = ""

    @property
    def source(self) -> str:
        """How signals name it: "name/version"."""
        return f"{self.name}/{self.version}"


@dataclass(frozen=True, slots=True)
class Measurement:
    """All that a filter's pipeline says of one item: signals, models, step times in ms, missing abilities."""

    signals: tuple[Signal, ...]
    models: tuple[ModelVersion, ...]
    timings: dict[str, float] = field(default_factory=dict[str, float])
    capabilities: tuple[str, ...] = ()

    def scores(self) -> dict[str, float]:
        """The highest score of each category."""
        best: dict[str, float] = {}
        for signal in self.signals:
            best[signal.category] = max(signal.score, best.get(signal.category, 0.0))
        return best
