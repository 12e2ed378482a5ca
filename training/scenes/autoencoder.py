"""Trains the autoencoder between pictures and latents: absolute and squared error, objects before background.

Latents are how a position looks and what it shows (`codes`). That is known of every scene, so the decoder is given the
truth; the encoder, whose codes edits and variations alone need, is taught to read it afterwards. Noise on the latents
keeps near latents near in pictures, which the diffusion model, never exact, depends on.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from training.generator.optimiser import MuonAdamW
from training.scenes.codes import NOTHING, WIDTH, codes, shown
from training.scenes.components import FACTOR, PIXELS, build_autoencoder
from training.scenes.pool import SHARES
from training.scenes.precision import fast
from training.scenes.render import SIDE, render
from training.scenes.scenes import Scene, draw_known

if TYPE_CHECKING:
    from diffusers import AutoencoderDC

BATCH = 32
OBJECT_WEIGHT = 4.0
NOISE = 0.15  # on latents while both halves learn
PIXEL_NOISE, CODE_NOISE = 0.5, 0.4  # while the decoder learns alone, so that it leans on the codes
SPREAD_WEIGHT, CODE_WEIGHT = 0.01, 0.03
EMA = 0.998
_POSITIONS = SIDE // FACTOR


def train_autoencoder(rng: np.random.Generator, steps: int) -> AutoencoderDC:
    """A trained autoencoder, in evaluation mode, whose latents have unit variance; it knows no codes yet."""
    live = build_autoencoder().train().to(memory_format=torch.channels_last)

    def error() -> Tensor:
        scenes = _scenes(rng)
        pictures, near = _drawn(scenes)
        with fast():
            looks = live.encode(pictures).latent.float()[:, :PIXELS]
            latents = torch.cat([looks, codes(scenes, _POSITIONS)], dim=1)
            decoded = live.decode(_noisy(latents, NOISE)).sample.float()
        return _difference(decoded, pictures, near) + SPREAD_WEIGHT * looks.std().log().square()

    return _learn("autoencoder", live, [live], error, steps, rate=0.01)


def sharpen(autoencoder: AutoencoderDC, rng: np.random.Generator, steps: int) -> AutoencoderDC:
    """The same with a decoder that was trained further by itself, on noisier latents; latents stay what they are."""
    decoder = copy.deepcopy(autoencoder.decoder).train().requires_grad_().to(memory_format=torch.channels_last)

    def error() -> Tensor:
        scenes = _scenes(rng)
        pictures, near = _drawn(scenes)
        with torch.no_grad(), fast():
            looks = autoencoder.encode(pictures).latent.float()[:, :PIXELS]
        latents = [_noisy(looks, PIXEL_NOISE), _noisy(codes(scenes, _POSITIONS), CODE_NOISE)]
        with fast():
            decoded = decoder(torch.cat(latents, dim=1)).float()
        return _difference(decoded, pictures, near)

    autoencoder.decoder = _learn("decoder", decoder, [decoder], error, steps, rate=0.006)
    return autoencoder


def teach_codes(autoencoder: AutoencoderDC, rng: np.random.Generator, steps: int) -> AutoencoderDC:
    """The same with an encoder that reads which shapes a picture shows; how it looks, it says as before."""
    encoder = copy.deepcopy(autoencoder.encoder).train().requires_grad_().to(memory_format=torch.channels_last)
    width = encoder.conv_out.in_channels
    reader = nn.Conv2d(width, NOTHING + 1, 1)  # thrown away: what it asks for, the last layer can say
    features: list[Tensor] = []
    encoder.conv_out.register_forward_pre_hook(lambda _layer, given: features.append(given[0]))

    def error() -> Tensor:
        scenes = _scenes(rng)
        pictures, _near = _drawn(scenes)
        shapes, _places = shown(scenes, _POSITIONS)
        with torch.no_grad(), fast():
            before = autoencoder.encode(pictures).latent.float()[:, :PIXELS]
        features.clear()
        with fast():
            looks, said = encoder(pictures).float().split((PIXELS, WIDTH), dim=1)
        weights = 1 + (OBJECT_WEIGHT - 1) * (shapes != NOTHING).float()
        told = functional.cross_entropy(reader(features[0].float()), shapes, reduction="none")
        kept = (looks - before).square().mean() / 2
        missed = (weights[:, None] * (said - codes(scenes, _POSITIONS)).square()).mean()
        return kept + (weights * told).sum() / weights.sum() + CODE_WEIGHT * missed

    taught = _learn("codes", encoder, [encoder, reader], error, steps, rate=0.01)
    taught.conv_out._forward_pre_hooks.clear()
    autoencoder.encoder = taught
    return autoencoder


@torch.no_grad()
def true_latents(autoencoder: AutoencoderDC, scenes: list[Scene]) -> Tensor:
    """(N, 32, 8, 8): how scenes look to the encoder, and which shapes they show in truth."""
    with fast():
        looks = autoencoder.encode(render(scenes)[0]).latent.float()[:, :PIXELS]
    return torch.cat([looks, codes(scenes, _POSITIONS)], dim=1)


def _learn(
    name: str, live: nn.Module, learning: list[nn.Module], error: Callable[[], Tensor], steps: int, rate: float
) -> nn.Module:
    """Steps `learning` down the error; the mean of `live`'s weights over the last steps."""
    mean = copy.deepcopy(live).eval().requires_grad_(False)
    optimiser = MuonAdamW(learning, muon_rate=rate, adam_rate=1.5e-3)
    begun, total = time.monotonic(), 0.0
    for step in range(1, steps + 1):
        loss = error()
        loss.backward()
        optimiser.step(min(1.0, step / 50) * max(0.02, min(1.0, 2 * (1 - step / steps))))
        _follow(mean, live, min(EMA, 1 - 10 / (10 + step)))
        total += loss.item()
        if step % 50 == 0:
            print(f"{name}: step {step} error {total / 50:.4f} seconds {time.monotonic() - begun:.0f}", flush=True)
            total = 0.0
    return mean


def _scenes(rng: np.random.Generator) -> list[Scene]:
    return [draw_known(rng, SHARES) for _ in range(BATCH)]


def _drawn(scenes: list[Scene]) -> tuple[Tensor, Tensor]:
    """Pictures (N, 3, S, S) in −1 … 1, and where objects or their edges are (N, 1, S, S), 0 or 1."""
    pictures, covered = render(scenes)
    return pictures, functional.max_pool2d((covered > 0).float(), 5, stride=1, padding=2)


def _noisy(latents: Tensor, most: float) -> Tensor:
    strength = most * torch.rand(len(latents), 1, 1, 1)
    return latents + strength * torch.randn_like(latents)


def _difference(decoded: Tensor, pictures: Tensor, near: Tensor) -> Tensor:
    """Absolute plus squared error, objects and their edges more than the rest."""
    weights = 1 + (OBJECT_WEIGHT - 1) * near
    difference = decoded - pictures
    return (weights * (difference.abs() + difference.square())).sum() / weights.sum() / 3


@torch.no_grad()
def _follow(mean: nn.Module, live: nn.Module, decay: float) -> None:
    torch._foreach_lerp_(list(mean.parameters()), list(live.parameters()), 1 - decay)
