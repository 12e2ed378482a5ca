"""What runs on one machine: every process of the house, in the order of their start and their end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

from portcullis.cli.extras import missing, pip_command
from services.core.config import ROOMS
from services.core.errors import ConfigurationError


class Layer(IntEnum):
    """Processes end layer by layer, lowest first: the door before what stands behind it, the database last."""

    DOOR = 0
    ROOM = 1
    ERRAND = 2
    DATABASE = 3


@dataclass(frozen=True, slots=True)
class Part:
    """One process: `python -m <module>`. A room answers gRPC health checks; an errand runs without a port."""

    name: str
    module: str
    layer: Layer

    @property
    def role(self) -> str:
        """Whose role in Postgres it connects as."""
        own = {"review_worker": "review", "review_relay": "review", "review_notifier": "review"}
        return own.get(self.name, self.name.removeprefix("review_"))

    @property
    def extra(self) -> str:
        """The extra of this package that it needs."""
        match self.layer:
            case Layer.DATABASE:
                return "embedded"
            case Layer.ERRAND:
                return "review"
            case _:
                return self.name.replace("_", "-")


POSTGRES = Part("postgres", "services.core.store.embedded", Layer.DATABASE)
ERRANDS = (
    Part("review_worker", "services.review.worker", Layer.ERRAND),
    Part("review_relay", "services.review.relay", Layer.ERRAND),
    Part("review_notifier", "services.review.notifier", Layer.ERRAND),
    Part("review_console", "services.review.console", Layer.ERRAND),
)


def parts_for(only: Sequence[str]) -> list[Part]:
    """The processes of the rooms named (all, where none is); the gateway last, because it looks for the others.

    Raises ConfigurationError for a name that no room has.
    """
    if unknown := sorted(set(only) - set(ROOMS)):
        raise ConfigurationError(f"no room is called {', '.join(unknown)}; there are {', '.join(ROOMS)}")
    wanted = [room for room in ROOMS if not only or room in only]
    rooms = [Part(room, f"services.{room}", Layer.ROOM) for room in wanted if room != "gateway"]
    errands = ERRANDS if "review" in wanted else ()
    door = [Part("gateway", "services.gateway", Layer.DOOR)] if "gateway" in wanted else []
    return [*rooms, *errands, *door]


def require_installed(parts: Sequence[Part]) -> None:
    """Raises ConfigurationError with what to install where an extra of these parts is missing."""
    if lacking := {part.extra for part in parts if missing(part.extra)}:
        raise ConfigurationError(f"parts of the house are not installed: {pip_command(lacking)}")
