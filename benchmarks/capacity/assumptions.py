"""What cannot be measured here: how a platform is used, what things cost, how large one machine can be."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from benchmarks.capacity.work import Kind

Part = Literal[
    "gateway", "prompt_filter", "image_filter", "combo_filter", "provenance", "review", "review_worker",
    "review_relay", "review_notifier",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Assumptions:
    """Every one is a parameter: `make capacity SET="peak=3 gpu_seconds=1.2"`."""

    # Use. Calls: 70% create, 10% edit, 10% variation, 10% checks; of all 4% violate and 1% are hostile (both end at the
    # prompt filter), 1% wait for a person. Pictures a call as DALL·E 2 gave them.
    create: float = 0.70
    edit: float = 0.10
    variation: float = 0.10
    blocked: float = 0.05
    held: float = 0.01
    pictures_created: int = 4
    pictures_edited: int = 3
    side: int = 1024
    picture_bytes: float = 1.5e6  # a photograph of 1,024 px as PNG
    peak: float = 2.0  # the busiest hour over the mean of the day
    # Sizing.
    busy: float = 0.6  # the share of a processor that is used at the peak: the rest is for bursts and a lost node
    gpu_seconds: float = 2.0  # of one picture
    gpu_busy: float = 0.8
    months_kept: int = 12  # of decisions; the registry is kept for good
    case_seconds: float = 30.0  # that a person looks at a case
    shift_seconds: float = 6 * 3600.0  # that a person looks in a day
    # The largest single Postgres that can be had, and a shared volume.
    postgres_cores: int = 64
    postgres_memory_bytes: float = 1e12
    postgres_wal_bytes_a_second: float = 200e6
    volume_bytes_a_second: float = 1e9
    postgres_connections: int = 1_000  # beyond, each costs the others too much
    added_seconds: float = 0.3  # that the house may add to a creation
    statement_seconds: float = 15.0  # what the server allows a statement (services/core/store/database.py)
    partition_bytes: float = 500e9  # of which vacuum, backup and a new index still end in a night
    # Prices in dollars: round numbers of the order of 2026's list prices of large clouds; put in yours.
    cpu_hour: float = 0.04
    gpu_hour: float = 2.0
    postgres_cpu_hour: float = 0.10
    disk_gb_month: float = 0.12
    volume_gb_month: float = 0.10
    person_hour: float = 25.0

    # Processors of a pod: one process each, of which only the filters of pictures and provenance use two.
    pod_cores: dict[str, int] = field(
        default_factory=lambda: {
            "gateway": 1, "prompt_filter": 1, "image_filter": 2, "combo_filter": 1, "provenance": 2, "review": 1,
            "review_worker": 1, "review_relay": 1, "review_notifier": 1,
        }
    )  # fmt: skip
    least_pods: int = 2  # so that one may be lost
    # Connections of a pod to Postgres when it is busy: pools, lanes and listeners as the rooms open them.
    pod_connections: dict[str, int] = field(
        default_factory=lambda: {
            "gateway": 11, "prompt_filter": 2, "image_filter": 2, "combo_filter": 1, "provenance": 10, "review": 11,
            "review_worker": 2, "review_relay": 5, "review_notifier": 5,
        }
    )  # fmt: skip

    @property
    def mix(self) -> dict[Kind, float]:
        """The share of each kind of call; what is left are checks, half of prompts, half of uploads."""
        rest = 1 - self.create - self.edit - self.variation
        stopped = self.blocked + self.held
        going = 1 - stopped
        return {
            "create": self.create * going,
            "edit": self.edit * going,
            "variation": self.variation * going,
            "check_prompt": rest / 2 * going,
            "check_upload": rest / 2 * going,
            "blocked": self.blocked,
            "held": self.held,
        }

    def pictures(self, kind: Kind) -> int:
        """How many a call of this kind makes."""
        return {"create": self.pictures_created, "edit": self.pictures_edited, "variation": self.pictures_edited}.get(
            kind, 0
        )

    @property
    def pictures_a_call(self) -> float:
        """The mean over all calls."""
        return sum(share * self.pictures(kind) for kind, share in self.mix.items())
