"""Which model judges, and which runs in its shadow: the policy in force names the first, Postgres the second.

A candidate differs from the shipped model in its heads alone. It becomes the judge only by a policy that names it,
which a person puts in force; where that model cannot be had, nothing is judged.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable

import structlog

from services.core import telemetry
from services.core.errors import ConfigurationError, NotFound, PortcullisError, Unavailable
from services.core.policy.source import ActivePolicy
from services.core.store import prompt_models
from services.core.store.database import Connection, Database
from services.core.verdicts import Verdict
from services.prompt_filter.pipeline import PromptPipeline

LOOK_SECONDS = 2.0

log = structlog.get_logger()


class Candidates:
    """The pipelines of this process; load once, then run `keep_fresh`."""

    def __init__(self, shipped: PromptPipeline, database: Database, policy: ActivePolicy) -> None:
        self._shipped = shipped
        self._database = database
        self._policy = policy
        self._loaded: dict[str, PromptPipeline] = {}
        self._on_trial: str | None = None

    def active(self) -> PromptPipeline:
        """The pipeline of the policy in force; raises Unavailable where its model is not loaded."""
        named = self._policy.current.document.prompt_model
        if named is None:
            return self._shipped
        if named not in self._loaded:
            raise Unavailable(f"the policy's prompt model {named[:12]} is not loaded", reason="MODEL_NOT_LOADED")
        return self._loaded[named]

    def shadow(self) -> PromptPipeline | None:
        """The pipeline on trial, if there is one and it is not the active one."""
        found = self._loaded.get(self._on_trial or "")
        return None if found is self.active() else found

    async def ready(self) -> None:
        """Raises Unavailable while the policy's model is not loaded."""
        self.active()

    async def load(self) -> None:
        """Reads what the policy and the trial name; Unavailable while Postgres does not answer."""
        async with self._database.transaction() as conn:
            self._on_trial = await prompt_models.on_trial(conn)
            wanted = {self._policy.current.document.prompt_model, self._on_trial} - {None}
            for model_id in wanted - self._loaded.keys():
                if model_id and (pipeline := await self._build(conn, model_id)):
                    self._loaded[model_id] = pipeline
        for gone in self._loaded.keys() - wanted:
            telemetry.hide_models(set(self._loaded.pop(gone).models) - set(self._shipped.models))

    async def keep_fresh(self) -> None:
        """Looks every two seconds; runs until cancelled."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                await self.load()
            except Unavailable as error:
                log.info("models not confirmed", why=error.reason)

    async def _build(self, conn: Connection, model_id: str) -> PromptPipeline | None:
        """The shipped pipeline with the heads of a candidate; None, told to the log, where they do not fit."""
        try:
            model = await prompt_models.get(conn, model_id)
            heads = await prompt_models.read_heads(conn, model_id)
            if hashlib.sha256(heads).hexdigest() != model_id:
                raise ConfigurationError("its weights are not those that were registered")
            if model.encoder_sha256 != self._shipped.encoder_sha256:
                raise ConfigurationError("it was fitted on another encoder")
            pipeline = await asyncio.to_thread(self._shipped.with_heads, heads)
        except (ConfigurationError, NotFound) as error:
            log.error("model cannot be used", model=model_id[:12], why=error.message)
            return None
        telemetry.show_models(pipeline.models)
        log.info("model loaded", model=model_id[:12])
        return pipeline


class Shadow:
    """Counts where the model on trial would have decided otherwise; never delays or changes an answer.

    One prompt at a time: under load the rest goes unmeasured, which makes a sample.
    """

    def __init__(self) -> None:
        self._running: asyncio.Task[None] | None = None

    def compare(self, active: Verdict, request_id: str, verdict_of: Callable[[], Verdict]) -> None:
        """Has `verdict_of` say in a thread what the shadow makes of a prompt that got the verdict `active`."""
        if self._running is None or self._running.done():
            self._running = asyncio.create_task(self._compare(active, request_id, verdict_of))

    async def _compare(self, active: Verdict, request_id: str, verdict_of: Callable[[], Verdict]) -> None:
        try:
            shadow = await asyncio.to_thread(verdict_of)
        except PortcullisError as error:
            log.info("shadow failed", request=request_id, why=error.reason)
            return
        telemetry.SHADOW_VERDICTS.labels(active.name, shadow.name).inc()
        if shadow != active:
            log.info("shadow differs", request=request_id, active=active.name, shadow=shadow.name)
