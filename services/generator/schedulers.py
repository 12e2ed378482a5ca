"""Schedulers of diffusers behind one way to drive them; each request has its own, for they remember where they are."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

# Deterministic ones, and those that draw all their noise from the generator they are given.
SCHEDULERS = (
    "DDIMScheduler",
    "DPMSolverMultistepScheduler",
    "EulerAncestralDiscreteScheduler",
    "EulerDiscreteScheduler",
    "LCMScheduler",
    "PNDMScheduler",
)


def advance(scheduler: Any, guess: Tensor, time: Tensor, latents: Tensor, generator: torch.Generator) -> Tensor:
    """The latents after one step from `time` (a scalar of `scheduler.timesteps`)."""
    drawn = {} if type(scheduler).__name__ == "PNDMScheduler" else {"generator": generator}
    stepped: Tensor = scheduler.step(guess, time, latents, **drawn).prev_sample
    return stepped
