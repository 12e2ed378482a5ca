"""Trains the upsampler on what the autoencoder makes of scenes, against the same scenes drawn large."""

from __future__ import annotations

import math
import time
from typing import Any

import numpy as np
import torch
from torch import Tensor

from services.generator.upsampler import Upsampler
from training.scenes.autoencoder import true_latents
from training.scenes.pool import SHARES, unit
from training.scenes.pool import pictures as drawn
from training.scenes.precision import fast
from training.scenes.render import SIDE
from training.scenes.scenes import draw_known

POOL, FRESH = 512, 100  # scenes decoded at a time; steps until the next are
BATCH, CROP = 16, 32
RATE = 2e-3
LATENT_NOISE = 0.3  # what a few denoising steps leave


def train_upsampler(autoencoder: Any, rng: np.random.Generator, steps: int) -> Upsampler:
    """A trained upsampler, in evaluation mode."""
    upsampler = Upsampler().train().to(memory_format=torch.channels_last)
    optimiser = torch.optim.AdamW(upsampler.parameters(), lr=RATE, weight_decay=0.0)
    begun = time.monotonic()
    for step in range(1, steps + 1):
        if step % FRESH == 1:
            small, large = _pool(autoencoder, rng)
        low, high = _crops(small, large, rng)
        with fast():
            enlarged = upsampler(low).float()
        difference = enlarged - high
        error = (difference.abs() + difference.square()).mean()
        for group in optimiser.param_groups:
            group["lr"] = RATE * min(1.0, step / 50) * 0.5 * (1 + math.cos(math.pi * step / steps))
        optimiser.zero_grad()
        error.backward()
        torch.nn.utils.clip_grad_norm_(upsampler.parameters(), 1.0)
        optimiser.step()
        if step % 50 == 0:
            seconds = time.monotonic() - begun
            print(f"upsampler: step {step} error {error.item():.4f} seconds {seconds:.0f}", flush=True)
    return upsampler.eval()


@torch.no_grad()
def _pool(autoencoder: Any, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Scenes as the autoencoder gives them back (N, 3, 64, 64) in −1 … 1, and drawn large (N, 3, 256, 256) uint8."""
    scenes = [draw_known(rng, SHARES) for _ in range(POOL)]
    small = []
    for at in range(0, POOL, 64):
        latents = true_latents(autoencoder, scenes[at : at + 64])
        with fast():
            strength = LATENT_NOISE * torch.rand(len(latents), 1, 1, 1)
            small.append(autoencoder.decode(latents + strength * torch.randn_like(latents)).sample.float())
    return torch.cat(small), drawn(scenes, 4 * SIDE)


def _crops(small: Tensor, large: Tensor, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """The same pieces of both."""
    low, high = [], []
    for index in rng.choice(len(small), BATCH, replace=False):
        y, x = (int(at) for at in rng.integers(0, SIDE - CROP + 1, 2))
        low.append(small[index, :, y : y + CROP, x : x + CROP])
        high.append(large[index, :, 4 * y : 4 * (y + CROP), 4 * x : 4 * (x + CROP)])
    return torch.stack(low), unit(torch.stack(high))
