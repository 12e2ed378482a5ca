"""A red-team run: what the filter finds plain, said again in every way an attacker knows; how often it gets through."""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from random import Random

from services.commands.redteam_wordings import Attack
from services.core.errors import InvalidInput
from services.core.verdicts import Judgement, Verdict

Judge = Callable[[str], Judgement]


@dataclass(frozen=True, slots=True)
class Attempt:
    """One mutated prompt: `category` is why the plain one was stopped, `bypassed` whether this one is allowed."""

    attack: str
    category: str
    text: str = field(repr=False)
    bypassed: bool


@dataclass(slots=True)
class Tally:
    """What came of a run. `tried` and `bypassed` count by (attack, category)."""

    prompts: int = 0
    allowed_plain: int = 0
    tried: Counter[tuple[str, str]] = field(default_factory=Counter[tuple[str, str]])
    bypassed: Counter[tuple[str, str]] = field(default_factory=Counter[tuple[str, str]])

    def add(self, attempt: Attempt) -> None:
        """Counts one attempt."""
        self.tried[attempt.attack, attempt.category] += 1
        self.bypassed[attempt.attack, attempt.category] += attempt.bypassed

    def rate(self, attack: str, category: str | None = None) -> float | None:
        """The share of an attack's attempts that were allowed, of one category or of all; None of nothing."""
        keys = [key for key in self.tried if key[0] == attack and category in (None, key[1])]
        tried = sum(self.tried[key] for key in keys)
        return sum(self.bypassed[key] for key in keys) / tried if tried else None


def attempts(text: str, judge: Judge, attacks: Mapping[str, Attack], seed: int, tally: Tally) -> Iterator[Attempt]:
    """Tries every attack on one prompt, if it is stopped plain; the same seed makes the same attempts."""
    tally.prompts += 1
    plain = judge(text)
    if plain.verdict is Verdict.ALLOW:
        tally.allowed_plain += 1
        return
    category = plain.reasons[0].category
    for name, attack in attacks.items():
        changed = attack(text, Random(zlib.crc32(f"{seed} {name} {text}".encode())))  # noqa: S311 - repeatable, not secret
        if changed is None or changed == text:
            continue
        try:
            verdict = judge(changed).verdict
        except InvalidInput:
            verdict = Verdict.BLOCK
        attempt = Attempt(name, category, changed, verdict is Verdict.ALLOW)
        tally.add(attempt)
        yield attempt
