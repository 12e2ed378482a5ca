"""What all pages of the console work with."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field

from services.core.config import HouseSettings
from services.core.evidence import EvidenceStore
from services.core.policy.source import ActivePolicy
from services.core.store.database import Database
from services.review.console.kept import Kept
from services.review.console.second_factor import StaffKey
from services.review.console.settings import ConsoleSettings
from services.review.desk import ReviewDesk
from services.review.settings import ReviewSettings


@dataclass(frozen=True, slots=True)
class Console:
    """The books, the evidence, the keys and the settings; `origin` is scheme, host and port as browsers see them."""

    database: Database
    policy: ActivePolicy
    desk: ReviewDesk
    evidence: EvidenceStore
    key: StaffKey
    settings: ConsoleSettings
    review: ReviewSettings
    origin: str
    tls_to_provider: ssl.SSLContext
    kept: Kept = field(default_factory=Kept)

    @classmethod
    async def open(cls, house: HouseSettings, settings: ConsoleSettings) -> Console:
        """Opens books and keys; raises ConfigurationError in a house without keys, Unavailable without Postgres."""
        key = StaffKey(house.home / "keys" / "staff.key")
        evidence = EvidenceStore(house.home / "evidence", house.home / "keys" / "evidence.key")
        database = await Database.open(house.database())
        trust = ssl.create_default_context(cafile=settings.oidc_ca)
        policy = await ActivePolicy.load(database, house.policy_stale_seconds)
        review = ReviewSettings()
        desk = ReviewDesk(database, evidence, policy, review.claim_seconds, review.undo_seconds)
        return cls(database, policy, desk, evidence, key, settings, review, settings.origin(house), trust)
