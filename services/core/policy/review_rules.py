"""What a policy says about review: its queues, what waits where, and who looks twice."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from services.core.policy.categories import Stage
from services.core.policy.fields import CategoryName, Mistake, Path, Section, unknown
from services.core.staff import PERMISSIONS, Role
from services.core.verdicts import Tier

Kind = Literal["content", "report", "appeal", "suspension"]

DEFAULT_QUEUE = "default"
SEALED_QUEUE = "sealed"
# Sealed whatever a policy says; it can only add to them.
ALWAYS_SEALED = frozenset({"sexual.minors"})

QueueName = Annotated[str, Field(pattern=r"^[a-z0-9_-]{1,64}$")]
Hours = Annotated[float, Field(gt=0, le=24 * 90, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


class Queue(Section):
    """Where cases wait. Each level of priority is worth `ageing_hours` of waiting, so that what waits gains on it.

    Only these `roles` take cases from it; a share of `second_review` is judged again by another person.
    """

    due_hours: Hours = 24.0
    ageing_hours: Annotated[float, Field(ge=0, le=24 * 90, allow_inf_nan=False)] = 4.0
    roles: list[Role] = Field(default=["analyst", "senior", "lead"], min_length=1)
    second_review: Share = 0.05
    golden: Share = 0.0


class Route(Section):
    """What waits in `queue`: cases that fit all that is said here. What is left out fits any."""

    queue: QueueName
    priority: int = Field(default=5, ge=0, le=9)
    kinds: list[Kind] | None = None
    categories: list[CategoryName] | None = None  # a parent stands for its children
    stages: list[Stage] | None = None
    tiers: list[Tier] | None = None
    verdicts: list[Literal["REVIEW", "BLOCK"]] | None = None
    held: bool | None = None
    score_from: Share | None = None  # the highest score among the reasons
    older_than_hours: Hours | None = None  # moves what has waited so long already


def _queues() -> dict[str, Queue]:
    return {
        DEFAULT_QUEUE: Queue(),
        SEALED_QUEUE: Queue(due_hours=4.0, ageing_hours=0.0, roles=["sealed"], second_review=1.0),
        "appeals": Queue(due_hours=72.0, roles=["senior", "lead"]),
        "reports": Queue(due_hours=24.0),
        "suspensions": Queue(due_hours=24.0, roles=["senior", "lead"]),
    }


def _routes() -> list[Route]:
    return [
        Route(queue="appeals", kinds=["appeal"]),
        Route(queue="reports", kinds=["report"]),
        Route(queue="suspensions", kinds=["suspension"]),
        Route(queue=DEFAULT_QUEUE, priority=3, held=True),
        Route(queue=DEFAULT_QUEUE, priority=6),
    ]


def _completed(value: object) -> object:
    """The queues that a policy names, each with the house's own settings where it says nothing, beside the others."""
    if not isinstance(value, dict):
        return value
    own = {name: queue.model_dump() for name, queue in _queues().items()}
    named = {
        name: {**own.get(name, {}), **queue} if isinstance(queue, dict) else queue for name, queue in value.items()
    }
    return {**own, **named}


# What holds for cases that wait in a queue which the policy in force does not have any more.
LOST_QUEUE = Queue(roles=["senior", "lead"])


class ReviewRules(Section):
    """The first route that fits says where a case waits; sealed ones always wait in the queue `sealed`.

    A policy that names some queues changes these alone: the house's other queues, and what it leaves out, hold on.
    """

    sealed: list[CategoryName] = Field(default=[])
    queues: Annotated[dict[QueueName, Queue], BeforeValidator(_completed)] = Field(default_factory=_queues)
    routes: list[Route] = Field(default_factory=_routes, max_length=100)

    @property
    def seals(self) -> frozenset[str]:
        """The categories whose cases exist for the sealed role alone."""
        return ALWAYS_SEALED | frozenset(self.sealed)

    @property
    def shares(self) -> dict[str, float]:
        """The share of each queue that is judged again."""
        return {name: queue.second_review for name, queue in self.queues.items()}

    def queue(self, name: str) -> Queue:
        """A queue's settings; of one that is not here (any more), those under which seniors and leads empty it."""
        return self.queues.get(name, LOST_QUEUE)


def review_mistakes(rules: ReviewRules) -> list[Mistake]:
    """What is wrong between the parts of the section, each at its path."""
    mistakes: list[Mistake] = []
    for name, queue in rules.queues.items():
        path: Path = ("review", "queues", name, "roles")
        if name == SEALED_QUEUE and queue.roles != ["sealed"]:
            mistakes.append((path, f"{SEALED_QUEUE!r} is for the role sealed alone: write [sealed] or leave it out"))
        elif not PERMISSIONS["review"].intersection(queue.roles):
            allowed = ", ".join(sorted(PERMISSIONS["review"]))
            mistakes.append((path, f"nobody could take cases from {name!r}: name one of {allowed}"))
    for index, route in enumerate(rules.routes):
        path = ("review", "routes", index, "queue")
        if route.queue == SEALED_QUEUE:
            mistakes.append((path, f"sealed cases go to {SEALED_QUEUE!r} by themselves, and no others may"))
        elif route.queue not in rules.queues:
            mistakes.append((path, unknown("queue", route.queue, set(rules.queues) - {SEALED_QUEUE})))
    return mistakes
