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
from services.prompt_filter.bank_source import WordBanks
from services.prompt_filter.candidates import Candidates
from services.prompt_filter.guard import Guard, Words, load_guard
from services.prompt_filter.pipeline import PromptPipeline
from services.prompt_filter.servicer import PromptFilterServicer
from services.prompt_filter.settings import PromptFilterSettings

CALLERS = {"CheckPrompt": frozenset({"gateway"}), "MeasureTexts": frozenset({"image_filter"})}


async def build(house: HouseSettings) -> App:
    """Loads models, banks and policy; ConfigurationError where one is missing."""
    settings = PromptFilterSettings()
    pipeline = await asyncio.to_thread(PromptPipeline.load, settings)
    database = await Database.open(house.database())
    policy = await ActivePolicy.load(database, house.policy_stale_seconds)
    guard = await asyncio.to_thread(_guard, settings)
    banks = WordBanks(database, house.database(), settings.banks_stale_seconds)
    await banks.load()
    candidates = Candidates(pipeline, database, policy)
    await candidates.load()
    servicer = PromptFilterServicer(candidates, banks, Judge.load(house, "prompt_filter", policy), guard)
    telemetry.show_models([*pipeline.models, *([guard.model] if guard else [])])

    async def ready() -> None:
        await policy.ready()
        await banks.ready()
        await candidates.ready()

    return App(
        service="portcullis.v1.PromptFilterService",
        register=lambda server: stubs.add_PromptFilterServiceServicer_to_server(servicer, server),
        callers=CALLERS,
        settings=settings,
        background=[policy.keep_fresh, candidates.keep_fresh, banks.follow, banks.keep_fresh, banks.keep_people],
        ready=ready,
        close=database.close,
    )


def _guard(settings: PromptFilterSettings) -> Guard | None:
    """The guard model that the settings name, if any."""
    if not settings.guard_uri:
        return None
    words = Words(settings.guard_template, settings.guard_unsafe, settings.guard_safe)
    return load_guard(settings.guard_uri, settings.guard_sha256, words)


if __name__ == "__main__":
    run("prompt_filter", build)
