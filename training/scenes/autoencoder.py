"""Trains the autoencoder between pictures and latents: absolute and squared error, objects before background.

Noise on the latents keeps near latents near in pictures, which the diffusion model, never exact, depends on.
"""

from __future__ import annotations

import copy
import time
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from training.generator.optimiser import MuonAdamW
from training.scenes.components import build_autoencoder
from training.scenes.pool import SHARES
from training.scenes.precision import fast
from training.scenes.render import render
from training.scenes.scenes import draw_known

if TYPE_CHECKING:
    from diffusers import AutoencoderDC

BATCH = 32
OBJECT_WEIGHT = 4.0
LATENT_NOISE = 0.15  # of the latents' spread
SIZE_WEIGHT = 1e-3  # keeps the latents from growing away from the noise
EMA = 0.998


def train_autoencoder(rng: np.random.Generator, steps: int) -> AutoencoderDC:
    """A trained autoencoder, in evaluation mode, whose `scaling_factor` brings its latents to unit variance."""
    live = build_autoencoder().train().to(memory_format=torch.channels_last)
    mean = copy.deepcopy(live).eval().requires_grad_(False)
    optimiser = MuonAdamW([live], muon_rate=0.01, adam_rate=1.5e-3)
    begun = time.monotonic()
    for step in range(1, steps + 1):
        pictures, near = _batch(rng)
        with fast():
            latents = live.encode(pictures).latent.float()
            decoded = live.decode(_noisy(latents, float(latents.detach().std()))).sample.float()
        error = _error(decoded, pictures, near)
        (error + SIZE_WEIGHT * latents.square().mean()).backward()
        optimiser.step(_rate(step, steps))
        _follow(mean, live, min(EMA, 1 - 10 / (10 + step)))
        if step % 50 == 0:
            seconds = time.monotonic() - begun
            print(f"autoencoder: step {step} error {error.item():.4f} seconds {seconds:.0f}", flush=True)
    with torch.no_grad():
        spread = torch.cat([mean.encode(_batch(rng)[0]).latent for _ in range(20)]).std()
    mean.register_to_config(scaling_factor=1 / float(spread))
    return mean


def sharpen(autoencoder: AutoencoderDC, rng: np.random.Generator, steps: int) -> AutoencoderDC:
    """The same with a decoder that was trained further by itself; latents stay what they are."""
    autoencoder.requires_grad_(False)
    live = copy.deepcopy(autoencoder.decoder).train().requires_grad_(True).to(memory_format=torch.channels_last)
    optimiser = MuonAdamW([live], muon_rate=0.005, adam_rate=1e-3)
    spread = 1 / autoencoder.config.scaling_factor
    begun = time.monotonic()
    for step in range(1, steps + 1):
        pictures, near = _batch(rng)
        with torch.no_grad(), fast():
            latents = autoencoder.encode(pictures).latent.float()
        with fast():
            decoded = live(_noisy(latents, spread)).float()
        error = _error(decoded, pictures, near)
        error.backward()
        optimiser.step(_rate(step, steps))
        _follow(autoencoder.decoder, live, min(EMA, 1 - 10 / (10 + step)))
        if step % 50 == 0:
            seconds = time.monotonic() - begun
            print(f"decoder: step {step} error {error.item():.4f} seconds {seconds:.0f}", flush=True)
    return autoencoder


def _batch(rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Pictures (N, 3, S, S) in −1 … 1, and where objects or their edges are (N, 1, S, S), 0 or 1."""
    pictures, covered = render([draw_known(rng, SHARES) for _ in range(BATCH)])
    return pictures, functional.max_pool2d((covered > 0).float(), 5, stride=1, padding=2)


def _noisy(latents: Tensor, spread: float) -> Tensor:
    strength = LATENT_NOISE * spread * torch.rand(len(latents), 1, 1, 1)
    return latents + strength * torch.randn_like(latents)


def _error(decoded: Tensor, pictures: Tensor, near: Tensor) -> Tensor:
    """Absolute plus squared error, objects and their edges more than the rest."""
    weights = 1 + (OBJECT_WEIGHT - 1) * near
    difference = decoded - pictures
    return (weights * (difference.abs() + difference.square())).sum() / weights.sum() / 3


def _rate(step: int, steps: int) -> float:
    """The learning rate's scale: 50 steps of warm-up, flat, then down to 2% over the second half."""
    return min(1.0, step / 50) * max(0.02, min(1.0, 2 * (1 - step / steps)))


@torch.no_grad()
def _follow(mean: torch.nn.Module, live: torch.nn.Module, decay: float) -> None:
    torch._foreach_lerp_(list(mean.parameters()), list(live.parameters()), 1 - decay)
