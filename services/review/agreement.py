"""How well people agree: over all pairs of a queue, and one person with those who looked at the same cases. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from services.core.staff import Analyst
from services.core.store.quality import Pair, Work
from services.core.store.review_items import Resolution


@dataclass(frozen=True, slots=True)
class Agreement:
    """Of `pairs` judgements, the share that agreed, 0 … 1, and Cohen's kappa, −1 … 1; None where they say nothing."""

    pairs: int
    share: float | None
    kappa: float | None


@dataclass(frozen=True, slots=True)
class QueueFigures:
    """A queue: what people did in it, and how well those who judged the same cases agreed."""

    queue: str
    judged: int
    agreement: Agreement


@dataclass(frozen=True, slots=True)
class PersonFigures:
    """One person in one queue, and how well others agreed with them."""

    work: Work
    agreement: Agreement


@dataclass(frozen=True, slots=True)
class TeamFigures:
    """What the whole team did, by queue and by person."""

    queues: Sequence[QueueFigures]
    people: Sequence[PersonFigures]

    def of(self, analyst: Analyst) -> list[PersonFigures]:
        """One person's own."""
        return [person for person in self.people if person.work.analyst == analyst.identity]


def agreement(said: Sequence[tuple[Resolution, Resolution]]) -> Agreement:
    """Cohen's kappa (1960): agreement beyond what the two sides' own habits would bring about by chance."""
    count = len(said)
    if count == 0:
        return Agreement(0, None, None)
    observed = sum(one == other for one, other in said) / count
    first, second = (sum(pair[side] == "uphold" for pair in said) / count for side in (0, 1))
    by_chance = first * second + (1 - first) * (1 - second)
    return Agreement(count, observed, None if by_chance == 1 else (observed - by_chance) / (1 - by_chance))


def by_queue(pairs: Sequence[Pair], work: Sequence[Work]) -> list[QueueFigures]:
    """A row for each queue in which anybody judged, by name."""
    return [
        QueueFigures(
            queue,
            sum(row.judged for row in work if row.queue == queue),
            agreement([(pair.first, pair.second) for pair in pairs if pair.queue == queue]),
        )
        for queue in sorted({row.queue for row in work})
    ]


def by_person(pairs: Sequence[Pair], work: Sequence[Work]) -> list[PersonFigures]:
    """A row for each person and queue; each pair is seen from that person's side."""
    seen: defaultdict[tuple[str, str], list[tuple[Resolution, Resolution]]] = defaultdict(list)
    for pair in pairs:
        seen[pair.queue, pair.first_by].append((pair.first, pair.second))
        seen[pair.queue, pair.second_by].append((pair.second, pair.first))
    return [PersonFigures(row, agreement(seen[row.queue, row.analyst])) for row in work]
