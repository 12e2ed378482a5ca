"""Starts the image filter: `python -m services.image_filter`."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import structlog

from portcullis.v1 import image_filter_pb2_grpc as stubs
from services.core import telemetry
from services.core.config import HouseSettings
from services.core.errors import Unavailable
from services.core.policy.source import ActivePolicy
from services.core.rpc.judge import Judge
from services.core.rpc.server import App, run
from services.core.store.database import Database
from services.image_filter.pipeline import ImagePipeline
from services.image_filter.refresh import BankRefresh
from services.image_filter.servicer import ImageFilterServicer
from services.image_filter.settings import ImageFilterSettings
from services.image_filter.text_judge import TextJudge

CALLERS = {"CheckImages": frozenset({"gateway"})}


async def build(house: HouseSettings) -> App:
    """Load detectors, policy and banks; ConfigurationError where one is missing."""
    settings = ImageFilterSettings()
    pipeline = await asyncio.to_thread(ImagePipeline.load, settings)
    database = await Database.open(house.database())
    policy = await ActivePolicy.load(database, house.policy_stale_seconds)
    banks = BankRefresh(database, pipeline, settings.banks_stale_seconds, house.database())
    await banks.load()
    texts = TextJudge(house)
    servicer = ImageFilterServicer(pipeline, banks, texts, Judge.load(house, "image_filter", policy))
    telemetry.show_models(pipeline.models)
    structlog.get_logger(__name__).info("detectors", licences=pipeline.licences)

    async def ready() -> None:
        await policy.ready()
        await banks.ready()
        await texts.ready()

    async def close() -> None:
        pipeline.close()
        with suppress(Unavailable):
            await banks.write_seen()
        await texts.close()
        await database.close()

    return App(
        service="portcullis.v1.ImageFilterService",
        register=lambda server: stubs.add_ImageFilterServiceServicer_to_server(servicer, server),
        callers=CALLERS,
        settings=settings,
        background=[policy.keep_fresh, banks.keep_fresh, banks.follow],
        ready=ready,
        close=close,
    )


if __name__ == "__main__":
    run("image_filter", build)
