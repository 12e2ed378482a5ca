"""Trains the autoencoder between pictures and latents, then its decoder alone on slightly noisy latents."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from training.generator.components import build_autoencoder
from training.generator.scenes import draw_known, render

if TYPE_CHECKING:
    from diffusers import AutoencoderKL

BATCH = 24
SINGLE = 0.4
KL_WEIGHT = 2e-3
OBJECT_WEIGHT, REFINED_OBJECT_WEIGHT = 6.0, 4.0
LATENT_NOISE = 0.12  # of the latents' spread: what a few denoising steps leave


def train_autoencoder(rng: np.random.Generator, steps: int, refine_steps: int) -> AutoencoderKL:
    """A trained autoencoder whose `scaling_factor` brings its latents to unit variance."""
    autoencoder = build_autoencoder()
    begun = time.monotonic()
    optimiser = torch.optim.AdamW(autoencoder.parameters(), lr=2e-3, betas=(0.9, 0.98), weight_decay=0.0)
    for step in range(1, steps + 1):
        pictures, near = _batch(rng)
        posterior = autoencoder.encode(pictures).latent_dist
        error = _error(autoencoder.decode(posterior.sample()).sample, pictures, near, OBJECT_WEIGHT)
        loss = error + KL_WEIGHT * posterior.kl().mean() / posterior.mean[0].numel()
        _step(optimiser, autoencoder.parameters(), loss, 2e-3 * _rate(step, steps, slope=2.0))
        _tell("autoencoder", step, error, begun)
    with torch.no_grad():
        spread = torch.cat([_latents(autoencoder, _batch(rng)[0]) for _ in range(20)]).std()
    autoencoder.register_to_config(scaling_factor=1 / float(spread))
    _refine(autoencoder, rng, refine_steps)
    return autoencoder


def _refine(autoencoder: AutoencoderKL, rng: np.random.Generator, steps: int) -> None:
    """Trains the decoder on; the encoder, and so what latents mean, stays as it is."""
    parameters = [*autoencoder.decoder.parameters(), *autoencoder.post_quant_conv.parameters()]
    optimiser = torch.optim.AdamW(parameters, lr=1.5e-3, betas=(0.9, 0.98), weight_decay=0.0)
    spread = 1 / autoencoder.config.scaling_factor
    begun = time.monotonic()
    for step in range(1, steps + 1):
        pictures, near = _batch(rng)
        latents = _latents(autoencoder, pictures)
        strength = LATENT_NOISE * spread * torch.rand(len(latents), 1, 1, 1)
        decoded = autoencoder.decode(latents + strength * torch.randn_like(latents)).sample
        error = _error(decoded, pictures, near, REFINED_OBJECT_WEIGHT)
        _step(optimiser, parameters, error, 1.5e-3 * _rate(step, steps, slope=1.7))
        _tell("decoder", step, error, begun)


def _batch(rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Pictures (N, 3, S, S) in −1 … 1, and where objects or their edges are (N, 1, S, S), 0 or 1."""
    pictures, covered = render([draw_known(rng, SINGLE) for _ in range(BATCH)])
    return pictures, functional.max_pool2d((covered > 0).float(), 5, stride=1, padding=2)


@torch.no_grad()
def _latents(autoencoder: AutoencoderKL, pictures: Tensor) -> Tensor:
    latents: Tensor = autoencoder.encode(pictures).latent_dist.mean
    return latents


def _error(decoded: Tensor, pictures: Tensor, near: Tensor, weight: float) -> Tensor:
    """Absolute plus squared error, objects and their edges `weight` times the background."""
    weights = 1 + (weight - 1) * near
    difference = decoded - pictures
    return (weights * (difference.abs() + difference.square())).sum() / weights.sum() / 3


def _step(
    optimiser: torch.optim.Optimizer, parameters: Iterable[torch.nn.Parameter], loss: Tensor, rate: float
) -> None:
    for group in optimiser.param_groups:
        group["lr"] = rate
    optimiser.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(parameters, 1.0)
    optimiser.step()


def _rate(step: int, steps: int, slope: float) -> float:
    """The learning rate's scale: 50 steps of warm-up, flat, then down to 2%, the steeper the later."""
    return min(1.0, step / 50) * max(0.02, min(1.0, slope * (1 - step / steps)))


def _tell(what: str, step: int, error: Tensor, begun: float) -> None:
    if step % 50 == 0:
        print(f"{what}: step {step} error {error.item():.4f} seconds {time.monotonic() - begun:.0f}", flush=True)
