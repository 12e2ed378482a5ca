"""An alarm: which rule, in plain words and in numbers. Never content."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Rule = Literal["velocity", "block_ratio", "tenant_block_ratio", "probing", "rings", "spurious"]


@dataclass(frozen=True, slots=True)
class Alarm:
    """What a rule has to say. `facts` are the numbers of the explanation."""

    rule: Rule
    explanation: str
    facts: Mapping[str, float]
