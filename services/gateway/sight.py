"""What an answered request shows of an account and of a model, for the rules on what is unusual. No content."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from portcullis.v1 import checks_pb2 as pb
from services.core.anomalies.watched import Seen
from services.gateway.stop import Stop


@dataclass(frozen=True, slots=True)
class Sight:
    """One answered request. `outputs` are, by model, those drawn for a request that was allowed throughout and those
    of them that the screen held back.
    """

    tenant: str
    account: str
    seen: Seen
    outputs: Mapping[str, tuple[int, int]] = field(default_factory=dict[str, tuple[int, int]])


def sight(subject: pb.Subject, stops: Sequence[Stop], seals: Collection[str], at: datetime) -> Sight:
    """Blocked is a request whose own checks refused it: what a model made of it is not the account's doing."""
    asked = [stop for stop in stops if stop.stage != pb.STAGE_OUTPUT]
    blocked = [stop for stop in asked if not stop.open and not stop.held]
    seen = Seen(
        at.timestamp(),
        bool(blocked),
        next((stop.check.sketch for stop in blocked if stop.check.sketch), b""),
        any(reason.category in seals for stop in stops for reason in stop.check.reasons),
    )
    outputs: dict[str, tuple[int, int]] = {}
    if all(stop.check.verdict == pb.VERDICT_ALLOW for stop in asked):
        for stop in stops:
            if stop.stage == pb.STAGE_OUTPUT and stop.model:
                drawn, held = outputs.get(stop.model, (0, 0))
                outputs[stop.model] = drawn + 1, held + (not stop.open and not stop.for_account)
    return Sight(subject.tenant, subject.account, seen, outputs)
