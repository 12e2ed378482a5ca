"""Starts the combo filter: `python -m services.combo_filter`."""

from __future__ import annotations

import asyncio
from functools import partial

from portcullis.v1 import combo_filter_pb2_grpc as stubs
from services.combo_filter.concept_bank import follow_bank
from services.combo_filter.encoder import load_encoder
from services.combo_filter.pipeline import ComboPipeline
from services.combo_filter.servicer import ComboFilterServicer
from services.combo_filter.settings import ComboFilterSettings
from services.combo_filter.words import Words
from services.core import telemetry
from services.core.clearance import ClearanceVerifier
from services.core.config import HouseSettings
from services.core.policy.source import ActivePolicy
from services.core.rpc.judge import Judge
from services.core.rpc.server import App, run
from services.core.store.database import Database

CALLERS = {"CheckPair": frozenset({"gateway"})}


async def build(house: HouseSettings) -> App:
    """Load vocabulary, encoder, keys and policy; ConfigurationError where one is missing."""
    settings = ComboFilterSettings()
    encoder = await asyncio.to_thread(load_encoder, settings)
    pipeline = ComboPipeline(await asyncio.to_thread(Words.load, settings), encoder)
    verifier = ClearanceVerifier.load(house.home / "keys" / "clearance" / "jwks.json", "combo_filter")
    database = await Database.open(house.database(), 2)
    policy = await ActivePolicy.load(database, house.policy_stale_seconds)
    servicer = ComboFilterServicer(pipeline, verifier, Judge.load(house, "combo_filter", policy))
    follows = [partial(follow_bank, settings.concepts, encoder.use)] if encoder and settings.concepts else []
    telemetry.show_models(pipeline.models)
    return App(
        service="portcullis.v1.ComboFilterService",
        register=lambda server: stubs.add_ComboFilterServiceServicer_to_server(servicer, server),
        callers=CALLERS,
        settings=settings,
        background=[policy.keep_fresh, *follows],
        ready=policy.ready,
        close=database.close,
    )


if __name__ == "__main__":
    run("combo_filter", build)
