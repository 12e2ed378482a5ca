"""Scores prompts with the pipeline that the service runs, in one process or several."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path

from services.core.errors import InvalidInput
from services.core.policy.document import Policy, load_policy
from services.core.policy.evaluate import evaluate
from services.core.verdicts import Tier
from services.prompt_filter.pipeline import PromptPipeline
from services.prompt_filter.settings import PromptFilterSettings

TIER: Tier = "new"
REFUSED = "REFUSED"
# Said of a text's form or of facts that the platform allows: no part of "violates anything".
NOT_CONTENTS = frozenset({"language", "evasion", "public_figure", "public_figure.historical"})
_CHUNK = 64


@dataclass(frozen=True, slots=True)
class Scored:
    """`scores` 0…1 by category, empty where the text is no prompt (`verdict` REFUSED); else ALLOW, REVIEW or BLOCK."""

    scores: dict[str, float]
    verdict: str


def highest(scores: Mapping[str, float]) -> float:
    """The score for "any": the highest of what a text contains; a refused text counts as found."""
    return max((score for category, score in scores.items() if category not in NOT_CONTENTS), default=1.0)


def score(texts: Sequence[str], policy: Path, workers: int = 1) -> Iterator[Scored]:
    """What the pipeline and the policy say of each text, in order; more `workers` are processes, a model each."""
    if workers == 1:
        yield from map(partial(judge, *_load(policy)), texts)
        return
    # Spawned: a fork of a process with the threads of gRPC or torch in it may crash.
    with ProcessPoolExecutor(workers, get_context("spawn"), _begin, (policy,)) as pool:
        yield from pool.map(_judge, texts, chunksize=_CHUNK)


def judge(pipeline: PromptPipeline, policy: Policy, text: str) -> Scored:
    """One text."""
    try:
        measurement = pipeline.measure(text)
    except InvalidInput:
        return Scored({}, REFUSED)
    return Scored(measurement.scores(), evaluate(policy, "prompt", TIER, measurement).verdict.name)


def _load(policy: Path) -> tuple[PromptPipeline, Policy]:
    return PromptPipeline.load(PromptFilterSettings()), load_policy(policy.read_text(encoding="utf-8"), policy.name)


# A worker process has one pipeline for its whole life.
_loaded: list[tuple[PromptPipeline, Policy]] = []


def _begin(policy: Path) -> None:
    os.environ["OMP_NUM_THREADS"] = "1"
    _loaded.append(_load(policy))


def _judge(text: str) -> Scored:
    return judge(*_loaded[0], text)
