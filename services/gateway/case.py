"""A request that was admitted, and what it came to."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from google.protobuf.message import Message

from portcullis.v1 import checks_pb2 as pb
from services.core.rpc import convert
from services.core.verdicts import Verdict
from services.gateway.allowance import NOTHING_SPENT, Spent
from services.gateway.held import Kept, Resumption
from services.gateway.journey import Revision
from services.gateway.stop import Stop


@dataclass(frozen=True, slots=True)
class Case:
    """A request that was admitted: for whom, and under which decision. `attempt` fences off a gateway that died.

    `hold_for` is why the account's standing lets nothing leave that no person has looked at; empty where it does.
    """

    subject: pb.Subject
    request_id: UUID
    decision_id: UUID
    attempt: int
    hold_for: str = ""
    spent: Spent = NOTHING_SPENT


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a request came to. `answer` makes the answer's messages, given the review item of each stop that has one.

    Advice decides about nothing that could be released, so that only what is sealed opens a case. `kept` is there where
    people can let the request go on, `resumes` where it is itself one that they let go on.
    """

    operation: str
    stops: Sequence[Stop]
    answer: Callable[[Mapping[int, UUID]], Sequence[Message]]
    advice: bool = False
    kept: Kept | None = None
    resumes: Resumption | None = None
    revision: Revision | None = None

    @property
    def rendered(self) -> bool:
        """Whether pictures were made, released or not."""
        return any(stop.stage == pb.STAGE_OUTPUT for stop in self.stops)

    def needs_person(self, stop: Stop, seals: frozenset[str]) -> bool:
        """Whether a case must be opened: for what is sealed always, else for every REVIEW, but never a second time."""
        if stop.released:
            return False
        if stop.touches(seals):
            return True
        return not self.advice and convert.verdict(stop.check.verdict) is Verdict.REVIEW
