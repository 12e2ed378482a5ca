"""What a policy says about review: its queues, what waits where, and who looks twice."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from services.core.policy.categories import Stage
from services.core.policy.fields import CategoryName, Section
from services.core.staff import Role
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
    """Where cases wait. Each level of priority is worth `ageing_hours` of waiting, so that what waits gains on it."""

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


class ReviewRules(Section):
    """The first route that fits says where a case waits; sealed ones always wait in the queue `sealed`."""

    sealed: list[CategoryName] = Field(default=[])
    queues: dict[QueueName, Queue] = Field(default_factory=_queues)
    routes: list[Route] = Field(default_factory=_routes, max_length=100)

    @property
    def seals(self) -> frozenset[str]:
        """The categories whose cases exist for the sealed role alone."""
        return ALWAYS_SEALED | frozenset(self.sealed)
