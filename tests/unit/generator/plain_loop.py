"""The shortest loop that draws one picture through a family: what diffusers' own pipelines do, step by step."""

from __future__ import annotations

import inspect
from typing import Any

import torch
from torch import Tensor

from services.generator.family import Family
from services.generator.job import Job

JOB = Job("create", "a red boat", "", None, None, count=1, size=16, steps=4, seed=7)


def noise(family: Family, job: Job, seed: int = 0) -> Tensor:
    shape = (1, *family.latent_shape(job.size))
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@torch.inference_mode()
def draw(family: Family, job: Job, start: Tensor, extra: Tensor | None = None) -> Tensor:
    """The picture (1, 3, S, S) in 0 … 1, as pipelines give it with `output_type="pt"`."""
    condition = family.condition(job)
    scheduler = family.scheduler(job.steps, job.size)
    chance = torch.Generator().manual_seed(job.seed)
    options: dict[str, Any] = (
        {"generator": chance} if "generator" in inspect.signature(scheduler.step).parameters else {}
    )
    latents = start * scheduler.init_noise_sigma
    for time in scheduler.timesteps:
        scaled = scheduler.scale_model_input(latents, time)
        guess = family.predict(scaled, time[None], [condition.wanted], extra)
        if condition.unwanted is not None:
            away = family.predict(scaled, time[None], [condition.unwanted], extra)
            guess = torch.lerp(away, guess, job.guidance or family.card.guidance)
        latents = scheduler.step(guess, time, latents, **options).prev_sample
    return (family.decode(latents) / 2 + 0.5).clamp(0, 1)
