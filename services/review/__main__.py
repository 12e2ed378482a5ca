"""Starts the analysts' desk: `python -m services.review`."""

from __future__ import annotations

from datetime import timedelta

from portcullis.v1.review_pb2_grpc import add_ReviewServiceServicer_to_server
from services.core.clearance import ClearanceSigner
from services.core.config import HouseSettings
from services.core.evidence import EvidenceStore
from services.core.policy.source import ActivePolicy
from services.core.rpc.server import App, run
from services.core.staff import PERMISSIONS
from services.core.store.database import Database
from services.review.clearing import Clearing
from services.review.desk import ReviewDesk
from services.review.servicer import ReviewServicer
from services.review.settings import ReviewSettings
from services.review.watch import Watch

METHODS = (
    "ListItems",
    "GetItem",
    "WatchItems",
    "ClaimItem",
    "RenewClaim",
    "ReleaseClaim",
    "SkipItem",
    "DecideItem",
    "PreviewDecisions",
    "DecideItems",
    "UndoDecision",
    "CommentItem",
)

CALLERS = {**dict.fromkeys(METHODS, PERMISSIONS["review"]), "ClearDecision": frozenset({"gateway"})}


async def build(house: HouseSettings) -> App:
    """Opens the books and the evidence, and reads the policy in force."""
    settings = ReviewSettings()
    evidence = EvidenceStore(house.home / "evidence", house.home / "keys" / "evidence.key")
    lifetime = timedelta(seconds=house.clearance_seconds)
    signer = ClearanceSigner.load(house.home / "keys" / "clearance", "review", lifetime)
    database = await Database.open(house.database())
    policy = await ActivePolicy.load(database, house.policy_stale_seconds)
    desk = ReviewDesk(database, evidence, policy, settings.claim_seconds, settings.undo_seconds)
    watch = Watch(house.database(), database, settings.poll_seconds)
    servicer = ReviewServicer(desk, Clearing(database, signer), watch)
    return App(
        service="portcullis.v1.ReviewService",
        register=lambda server: add_ReviewServiceServicer_to_server(servicer, server),
        callers=CALLERS,
        settings=settings,
        background=[policy.keep_fresh, watch.run],
        ready=desk.ready,
        drain=watch.close,
        close=database.close,
    )


if __name__ == "__main__":
    run("review", build)
