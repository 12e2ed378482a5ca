"""Starts the prompt filter: `python -m services.prompt_filter`."""

from __future__ import annotations

import asyncio

from portcullis.v1 import prompt_filter_pb2_grpc as stubs
from services.core import telemetry
from services.core.config import HouseSettings
from services.core.policy.source import ActivePolicy
from services.core.rpc.judge import Judge
from services.core.rpc.server import App, run
from services.core.store.database import Database
from services.prompt_filter.pipeline import PromptPipeline
from services.prompt_filter.servicer import PromptFilterServicer
from services.prompt_filter.settings import PromptFilterSettings


async def build(house: HouseSettings) -> App:
    """Loads models, banks and policy; ConfigurationError where one is missing."""
    settings = PromptFilterSettings()
    pipeline = await asyncio.to_thread(PromptPipeline.load, settings)
    database = await Database.open(house.database())
    policy = await ActivePolicy.load(database, house.policy_stale_seconds)
    servicer = PromptFilterServicer(pipeline, Judge.load(house, "prompt_filter", policy))
    telemetry.show_models(pipeline.models)
    return App(
        service="portcullis.v1.PromptFilterService",
        register=lambda server: stubs.add_PromptFilterServiceServicer_to_server(servicer, server),
        callers={"CheckPrompt": frozenset({"gateway"})},
        settings=settings,
        background=[policy.keep_fresh],
        ready=policy.ready,
        close=database.close,
    )


if __name__ == "__main__":
    run("prompt_filter", build)
