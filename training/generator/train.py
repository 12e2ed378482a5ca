"""Trains the embedded generator from nothing but rendered scenes: `python -m training.generator.train`.

First the autoencoder, then the diffusion model over its latents; about an hour on two busy cores. Checkpoints go to OUT
while the diffusion model trains, so that OUT then always holds a usable model.
"""

from __future__ import annotations

import argparse
import copy
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from services.core.artifacts import MODELS
from training.generator import components
from training.generator.autoencoder import train_autoencoder
from training.generator.optimiser import MuonAdamW
from training.generator.scenes import MAX_TOKENS, Scene, caption, draw_known, render
from training.manifest import record

BATCH = 80
SINGLE = 0.2  # of the scenes have one object
SINGLE_FIRST = 0.05  # of the steps see nothing else
DROP_CAPTION = 0.1
EMA = 0.998
SAVE_EVERY = 400


def main() -> None:
    """Reads the arguments, trains, saves."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("models/scenes"), help="where the model goes")
    parser.add_argument("--autoencoder-steps", type=int, default=1500, help="steps of 24 pictures")
    parser.add_argument("--decoder-steps", type=int, default=1800, help="steps of 24 pictures for the decoder alone")
    parser.add_argument("--steps", type=int, default=3800, help="steps of 80 scenes for the diffusion model")
    parser.add_argument("--scenes", type=int, default=24_000, help="scenes encoded once and seen again and again")
    parser.add_argument("--seed", type=int, default=11)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(arguments.seed)
    rng = np.random.default_rng(arguments.seed)
    autoencoder = train_autoencoder(rng, arguments.autoencoder_steps, arguments.decoder_steps).eval()
    train(arguments.out, autoencoder, rng, arguments.steps, arguments.scenes)


def train(out: Path, autoencoder: Any, rng: np.random.Generator, steps: int, count: int) -> None:
    """Trains text encoder and UNet on the latents of `count` scenes; saves the running mean of the weights."""
    tokenizer, scheduler = components.build_tokenizer(), components.build_scheduler()
    scenes = [draw_known(rng, SINGLE) for _ in range(count)]
    single = np.array([index for index, scene in enumerate(scenes) if len(scene.items) == 1])
    latents = _encode(autoencoder, scenes)
    live = torch.nn.ModuleList([components.build_text_encoder(tokenizer), components.build_unet()]).train()
    mean = copy.deepcopy(live).eval().requires_grad_(False)
    optimiser = MuonAdamW(list(live), muon_rate=0.012, adam_rate=1.2e-3)
    begun, total = time.monotonic(), 0.0
    for step in range(1, steps + 1):
        chosen = rng.choice(single if step < SINGLE_FIRST * steps else count, BATCH)
        tokens = _tokenize(tokenizer, [scenes[index] for index in chosen], rng)
        loss = _loss(live[0], live[1], scheduler.alphas_cumprod, tokens, latents[torch.from_numpy(chosen)])
        loss.backward()
        optimiser.step(_rate(step, steps))
        _follow(mean, live, min(EMA, 1 - 10 / (10 + step)))
        total += loss.item()
        if step % 50 == 0:
            print(f"diffusion: step {step} loss {total / 50:.4f} seconds {time.monotonic() - begun:.0f}", flush=True)
            total = 0.0
        if step % SAVE_EVERY == 0 or step == steps:
            parts = {"tokenizer": tokenizer, "text_encoder": mean[0], "unet": mean[1], "scheduler": scheduler}
            _save(out, vae=autoencoder, **parts)


@torch.no_grad()
def _encode(autoencoder: Any, scenes: Sequence[Scene]) -> Tensor:
    """Latents (N, 8, 6, 6) of unit variance."""
    parts = [list(scenes[at : at + 250]) for at in range(0, len(scenes), 250)]
    means = [autoencoder.encode(render(part)[0]).latent_dist.mean for part in parts]
    return torch.cat(means) * autoencoder.config.scaling_factor


def _tokenize(tokenizer: Any, scenes: list[Scene], rng: np.random.Generator) -> Tensor:
    """Token ids (N, 24) of the scenes' captions, some of them dropped, for guidance without a classifier."""
    texts = ["" if rng.random() < DROP_CAPTION else caption(scene, rng) for scene in scenes]
    encoded = tokenizer(texts, padding="max_length", max_length=MAX_TOKENS, truncation=True, return_tensors="pt")
    return encoded.input_ids


def _rate(step: int, steps: int) -> float:
    """The learning rate's scale: 50 steps of warm-up, flat, then down to 1% over the last 45%."""
    return min(1.0, step / 50) * max(0.01, min(1.0, 2.2 * (1 - step / steps)))


def _loss(text_encoder: torch.nn.Module, unet: torch.nn.Module, kept: Tensor, tokens: Tensor, clean: Tensor) -> Tensor:
    """Squared error of the predicted clean latents."""
    # One time in each of as many equal parts: less chance in the mean over the batch.
    times = ((torch.arange(len(clean)) + torch.rand(len(clean))) * (len(kept) / len(clean))).long()
    signal = kept[times][:, None, None, None]
    noisy = signal.sqrt() * clean + (1 - signal).sqrt() * torch.randn_like(clean)
    guess = unet(noisy, times, text_encoder(tokens).last_hidden_state).sample
    error: Tensor = (guess - clean).square().mean()
    return error


def _save(out: Path, **parts: Any) -> None:
    """Writes the model and, where it ships with the house, its digests."""
    components.save(out, **parts)
    shutil.copy(Path(__file__).with_name("portcullis.json"), out)
    if out.resolve().is_relative_to(MODELS):
        record(*(path for path in out.rglob("*") if path.is_file() and path.suffix != ".md"))


@torch.no_grad()
def _follow(mean: torch.nn.Module, live: torch.nn.Module, decay: float) -> None:
    torch._foreach_lerp_(list(mean.parameters()), list(live.parameters()), 1 - decay)


if __name__ == "__main__":
    main()
