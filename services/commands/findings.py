"""What a look at this machine finds."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


class Level(IntEnum):
    """How bad a finding is."""

    GOOD = 0
    NOTE = 1
    BAD = 2


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at: what it is, how it is, and how to mend it."""

    level: Level
    subject: str
    message: str
    mend: str = ""
