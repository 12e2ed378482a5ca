"""Clearances for what people released: the same claim that the filter would have signed, in the name of review."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from services.core.clearance import Claim, ClearanceSigner
from services.core.errors import FailedPrecondition, NotFound
from services.core.releases import released
from services.core.rpc import convert
from services.core.store import decisions, held_requests, review_events, review_items, stops
from services.core.store.database import Connection, Database
from services.core.store.held_requests import HeldRequest
from services.core.store.stops import Stop

ACTOR = "gateway"


@dataclass(frozen=True, slots=True)
class Cleared:
    """A stop that a person released, and the clearance that lets it on."""

    stop: Stop
    clearance: str


class Clearing:
    """Clears held requests. Each clearance is an event of its cases' chains."""

    def __init__(self, database: Database, signer: ClearanceSigner) -> None:
        self._database = database
        self._signer = signer

    async def clear(self, tenant: str, account: str, decision_id: UUID) -> list[Cleared]:
        """A clearance for every stop that was released, in this decision and in those that it carried on.

        Raises NotFound for a decision that is not this account's, FailedPrecondition as `released` does, where the
        decision was resumed before, and where the evidence is gone.
        """
        async with self._database.transaction() as conn:
            held = await _held(conn, tenant, account, decision_id)
            halted = await stops.held_in(conn, tenant, held.decisions)
            cases = await review_items.of_decisions(conn, tenant, held.decisions)
            cleared: list[Cleared] = []
            for release in released(halted, cases, await review_items.now(conn)):
                claim = _claim(release.stop)
                for item in release.items:
                    await review_events.append(conn, item.item_id, "cleared", ACTOR, clearance=claim.clearance_id)
                cleared.append(Cleared(release.stop, self._signer.issue(claim)))
            return cleared


async def _held(conn: Connection, tenant: str, account: str, decision_id: UUID) -> HeldRequest:
    held = await held_requests.get(conn, tenant, decision_id)
    if held is None and await decisions.get(conn, tenant, decision_id):
        raise FailedPrecondition("nothing of this decision waits for a release", reason="NOT_HELD")
    if held is None or held.account != account:
        raise NotFound("no such decision", reason="DECISION_UNKNOWN")
    if held.resumed_as is not None:
        raise held_requests.already_resumed()
    if not await held_requests.kept(conn, held):
        raise FailedPrecondition("what was held has expired; ask again", reason="EVIDENCE_EXPIRED")
    return held


def _claim(stop: Stop) -> Claim:
    """What `services.core.rpc.judge` would bind, had the policy allowed it."""
    return Claim(
        tenant=stop.tenant,
        account=stop.account,
        stage=stop.stage,
        digests=stop.digests,
        policy=stop.policy,
        models=tuple(model.source for model in stop.models),
        signals=convert.signals_digest(map(convert.signal_to_proto, stop.signals)),
    )
