"""A line that is fair between tenants: deficit round robin (Shreedhar and Varghese, 1995).

Each tenant has a line of its own, and is served in turn for as much work as it has saved up; so who asks for more than
others waits behind itself. Within a tenant requests are served by their turn, a time: a trusted account's lies a few
seconds before its arrival. Nothing starves, since the turns of all that comes later lie later.
"""

from __future__ import annotations

from bisect import insort
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Generic, TypeVar

from services.core.verdicts import Tier

QUANTUM = 25  # work that a tenant saves up each time that it is passed over
# Seconds by which an account's requests may pass those of its tenant's newcomers.
HEAD_START: dict[Tier, float] = {"new": 0.0, "red_team": 0.0, "trusted": 5.0, "invited": 10.0}

Item = TypeVar("Item")


@dataclass(order=True, frozen=True, slots=True)
class _Entry(Generic[Item]):
    turn: float
    number: int  # of arrival, so that equal turns are served in order
    work: int = field(compare=False)
    item: Item = field(compare=False)


@dataclass(slots=True)
class _Line(Generic[Item]):
    saved: int = 0
    waiting: list[_Entry[Item]] = field(default_factory=list)


class FairQueue(Generic[Item]):
    """Items of several tenants. Not for several threads at once."""

    def __init__(self) -> None:
        self._lines: OrderedDict[str, _Line[Item]] = OrderedDict()  # the first is the one whose turn it is
        self._arrivals = 0

    def push(self, item: Item, tenant: str, tier: Tier, work: int, now: float) -> None:
        """Takes a place; `work` is in steps of one picture, `now` in seconds of any clock that goes forward."""
        self._arrivals += 1
        entry = _Entry(now - HEAD_START[tier], self._arrivals, work, item)
        insort(self._lines.setdefault(tenant, _Line()).waiting, entry)

    def pop(self) -> Item:
        """The next one; raises IndexError where none waits."""
        while self._lines:
            tenant, line = next(iter(self._lines.items()))
            entry = line.waiting[0]
            if entry.work <= line.saved:
                line.saved -= entry.work
                self._drop(tenant, entry)
                return entry.item
            line.saved += QUANTUM
            self._lines.move_to_end(tenant)
        raise IndexError("nothing waits")

    def remove(self, item: Item) -> bool:
        """Gives up a place; false where it had none."""
        for tenant, line in self._lines.items():
            for entry in line.waiting:
                if entry.item is item:
                    self._drop(tenant, entry)
                    return True
        return False

    def __len__(self) -> int:
        return sum(len(line.waiting) for line in self._lines.values())

    def __iter__(self) -> Iterator[Item]:
        """All that wait, in the order in which they will be served if nothing else comes."""
        rest: FairQueue[Item] = FairQueue()
        for tenant, line in self._lines.items():
            rest._lines[tenant] = replace(line, waiting=list(line.waiting))
        while rest._lines:
            yield rest.pop()

    def _drop(self, tenant: str, entry: _Entry[Item]) -> None:
        waiting = self._lines[tenant].waiting
        waiting.remove(entry)
        if not waiting:
            del self._lines[tenant]  # who has nothing to ask for saves nothing up
