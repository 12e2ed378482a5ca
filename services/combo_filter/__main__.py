"""Starts the combo filter: `python -m services.combo_filter`."""

from __future__ import annotations

import asyncio

from portcullis.v1 import combo_filter_pb2_grpc as stubs
from services.combo_filter.pipeline import ComboPipeline
from services.combo_filter.servicer import ComboFilterServicer
from services.combo_filter.settings import ComboFilterSettings
from services.core import telemetry
from services.core.clearance import ClearanceVerifier
from services.core.config import HouseSettings
from services.core.policy.source import ActivePolicy
from services.core.rpc.judge import Judge
from services.core.rpc.server import App, run
from services.core.store.database import Database


async def build(house: HouseSettings) -> App:
    """Load vocabulary, encoder, keys and policy; ConfigurationError where one is missing."""
    settings = ComboFilterSettings()
    pipeline = await asyncio.to_thread(ComboPipeline.load, settings)
    verifier = ClearanceVerifier.load(house.home / "keys" / "clearance" / "jwks.json", "combo_filter")
    database = await Database.open(house.database(), 2)
    policy = await ActivePolicy.load(database, house.policy_stale_seconds)
    servicer = ComboFilterServicer(pipeline, verifier, Judge.load(house, "combo_filter", policy))
    telemetry.show_models(pipeline.models)
    return App(
        service="portcullis.v1.ComboFilterService",
        register=lambda server: stubs.add_ComboFilterServiceServicer_to_server(servicer, server),
        callers={"CheckPair": frozenset({"gateway"})},
        settings=settings,
        background=[policy.keep_fresh],
        ready=policy.ready,
        close=database.close,
    )


if __name__ == "__main__":
    run("combo_filter", build)
